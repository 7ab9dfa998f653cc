"""What fills the terminal: each screen lays out widgets and hands them their part of the state."""
