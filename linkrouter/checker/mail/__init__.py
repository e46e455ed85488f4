"""What the check reads: the links of a mail, and which of them are malformed."""
