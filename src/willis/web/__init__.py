"""``willis web``: the unprivileged front that people and programs reach over the network."""
