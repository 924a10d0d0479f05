"""Wake-ups: watchers only say 'look now'; a full rescan is the truth."""
