"""What the inspector knows: objects in shared memory, rows, post-mortem, checks, exports.

Everything here reads only, through read-only maps, and asks no process for help. The exception is
`cleaning`, which removes dead generations under the instance lock.
"""
