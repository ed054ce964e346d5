"""What happens in the fleet: requests that run through it, and incidents that spread over it."""
