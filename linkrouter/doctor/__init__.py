"""What is wrong with a router, a centre or a whole machine, each finding with its cure. Nothing is changed."""
