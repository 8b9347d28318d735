"""Results and progress for people: terminal, HTML, Markdown, JSON."""
