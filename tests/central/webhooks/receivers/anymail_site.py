"""A Django site with django-anymail's own views, unmodified: prints each tracking event as a line of JSON.

python anymail_site.py PORT MAILGUN_KEY, with reader:password as the Basic authentication of Postmark's view.
"""

import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of-a-test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["anymail"],
    ANYMAIL={"WEBHOOK_SECRET": "reader:password", "MAILGUN_WEBHOOK_SIGNING_KEY": sys.argv[2]},
)
django.setup()

from anymail.signals import tracking  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("anymail/", include("anymail.urls"))]


def tell(sender, event, esp_name, **_):
    names = ("event_type", "event_id", "message_id", "recipient", "tags", "metadata", "user_agent", "click_url")
    told = {name: getattr(event, name) for name in names} | {"esp": esp_name, "timestamp": str(event.timestamp)}
    print(json.dumps(told), flush=True)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


tracking.connect(tell)
make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), handler_class=Quiet).serve_forever()
