"""The real-time process: prepares a thread for real time and hands it to the C executive."""
