"""Person boxes of keyframes: detectors behind one protocol, their files and their report."""
