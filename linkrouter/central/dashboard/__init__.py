"""The pages of central: figures to look at, in the words of the statistics API and with nothing else."""
