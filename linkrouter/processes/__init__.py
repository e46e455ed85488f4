"""The processes: the only place that joins the rooms."""
