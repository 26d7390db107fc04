"""What each `ava-detect` command does, given its Config."""
