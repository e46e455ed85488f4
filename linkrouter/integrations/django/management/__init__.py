"""What `manage.py` of a project with this app can do besides."""
