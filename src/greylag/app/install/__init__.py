"""What this installation is made of: its folder, keys, law, models, tools and shipped files. Knows no face."""
