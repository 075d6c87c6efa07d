"""``stook plan``: what a run would do, read, take and cost, before it is run; and how near that was."""
