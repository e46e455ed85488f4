"""The encoder, the gate and the reports to central, where mail is made: in Django and on its way over SMTP."""
