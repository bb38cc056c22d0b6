"""Training of enhancement models: clean pictures, their noisy twins, and the loop."""
