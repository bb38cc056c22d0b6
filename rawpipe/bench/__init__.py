"""Speed and memory of this machine: lines run in turns beside copies of their own bytes, as a Markdown table."""
