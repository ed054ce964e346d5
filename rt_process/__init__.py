"""The real-time process: prepares a thread for real time and hands it to the C executive.

Its Python main thread does housekeeping only: signals, watchdog, documents, admin requests.
"""
