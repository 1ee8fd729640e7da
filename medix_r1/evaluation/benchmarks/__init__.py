"""What is asked: tasks, their sources, row formats and items; imports evaluation/results/ for what a record holds."""
