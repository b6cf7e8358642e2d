"""The nouns of Willis, frozen. This room imports nothing of ours."""
