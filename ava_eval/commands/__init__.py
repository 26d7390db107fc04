"""What each command of ``ava-eval`` does."""
