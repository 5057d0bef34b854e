"""Settings, from the environment. Without any, everything runs on this machine alone.

CASEWRIGHT_DATA, DATABASE_URL, REDIS_URL, ELASTICSEARCH_URL, SECRET_KEY, and each as NAME_FILE; the rest is in
docs/settings.md.
"""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()


def _flag(name: str, *, default: bool) -> bool:
    value = str(env.str(name, default="")).strip().lower()
    if value in {"", "0", "1", "true", "false", "yes", "no", "on", "off"}:
        return default if value == "" else value in {"1", "true", "yes", "on"}
    raise ImproperlyConfigured(f"{name} is {value!r}. Set it to true or false.")


DATA_DIR = Path(env.str("CASEWRIGHT_DATA", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)
DEBUG = _flag("DEBUG", default=False)


def _secret_key() -> str:
    """From the environment, else made once and kept in the data folder, readable by its owner alone."""
    given: str = env.str("SECRET_KEY", default="")
    path = DATA_DIR / "secret_key"
    if given or path.exists():
        return given or path.read_text()
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


SECRET_KEY = _secret_key()
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"]
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "config",
    "triage.apps.TriageConfig",
    "detections.apps.DetectionsConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_htmx",
    "template_partials",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]


def _databases() -> dict[str, Any]:
    database: dict[str, Any] = env.db_url(
        "DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'casewright.sqlite3'}"
    )
    if database["ENGINE"].endswith("sqlite3"):
        database["OPTIONS"] = {
            # Web, worker and beat all write: take the write lock at the start, and wait for it.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        # A database in memory can't be shared with a live server's threads.
        database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    else:
        database["CONN_MAX_AGE"] = 60
        database["CONN_HEALTH_CHECKS"] = True
    return {"default": database}


DATABASES = _databases()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "queue"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _flag("HTTPS_ONLY", default=False)
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
# The admin shows times as the pages do.
FORMAT_MODULE_PATH = ["config.formats"]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_NUMBER_FILES = 200
# A hundred thousand values pasted into a form are refused at their field, with the form as it was typed.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 2**20
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]


def _broker_socket() -> Path:
    """In the data folder, or, as no system takes long socket paths, in a short folder named after it."""
    path = DATA_DIR / "broker" / "broker.sock"
    if len(os.fsencode(path)) < 100:
        return path
    name = hashlib.sha256(os.fsencode(DATA_DIR)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"casewright-{os.getuid()}-{name}" / "broker.sock"


EVENTS_DIR = DATA_DIR / "events"
UPLOADS_DIR = DATA_DIR / "uploads"
ELASTICSEARCH_URL: str = env.str("ELASTICSEARCH_URL", default="").strip().rstrip("/")
ELASTICSEARCH_INDICES: list[str] = env.list("ELASTICSEARCH_INDICES", default=["logs-*", "winlogbeat-*"])
ELASTICSEARCH_TIERS_LEFT_OUT: list[str] = env.list("ELASTICSEARCH_TIERS_LEFT_OUT", default=[])
ELASTICSEARCH_CA_FILE: str = env.str("ELASTICSEARCH_CA_FILE", default="")
ELASTICSEARCH_FINGERPRINT: str = env.str("ELASTICSEARCH_FINGERPRINT", default="")
ELASTICSEARCH_VERIFY = _flag("ELASTICSEARCH_VERIFY", default=True)
# An unprotected connection is only made where both say so.
ELASTICSEARCH_ALLOW_INSECURE = _flag("ELASTICSEARCH_ALLOW_INSECURE", default=False)
ELASTICSEARCH_ACCEPT_RISK = _flag("ELASTICSEARCH_ACCEPT_RISK", default=False)


def _credential(prefix: str) -> dict[str, str]:
    names = {"api_key": "API_KEY", "bearer": "TOKEN", "user": "USER", "password": "PASSWORD"}
    return {key: env.str(f"{prefix}_{name}", default="").strip() for key, name in names.items()}


ELASTICSEARCH_CREDENTIALS = {
    "all": _credential("ELASTICSEARCH"),
    **{
        access: _credential(f"ELASTICSEARCH_{access.upper()}")
        for access in ("detect", "pivot", "write", "canary", "setup")
    },
}
# Alerts that Elastic Security raised: read from here, and their workflow status written back if that is on.
ELASTICSEARCH_ALERTS_INDEX: str = env.str("ELASTICSEARCH_ALERTS_INDEX", default="").strip()
ELASTICSEARCH_ALERTS_WRITE_BACK = _flag("ELASTICSEARCH_ALERTS_WRITE_BACK", default=False)
BROKER_SOCKET = _broker_socket()
REDIS_URL: str = env.str("REDIS_URL", default="")
WAKE_SECONDS: int = env.int("CASEWRIGHT_WAKE_SECONDS", default=30)
SEARCH_TIMEOUT_SECONDS: int = env.int("CASEWRIGHT_SEARCH_TIMEOUT", default=120)
# How long and how much telemetry is kept; 0 is for ever.
RETENTION_DAYS: int = env.int("CASEWRIGHT_RETENTION_DAYS", default=0)
RETENTION_BYTES: int = env.int("CASEWRIGHT_RETENTION_GB", default=0) * 1024**3
# The largest file that is kept with a case.
ATTACHMENT_BYTES: int = env.int("CASEWRIGHT_ATTACHMENT_MB", default=25) * 1024**2
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="").strip()
# Hosts that response actions may reach: `host:port` or `host:port@network`; no other is connected to.
ALLOWED_TARGETS: list[str] = env.list("CASEWRIGHT_ALLOWED_TARGETS", default=[])
# Where others find these pages, for links in messages and call-backs; without it there are none.
PUBLIC_URL: str = env.str("CASEWRIGHT_PUBLIC_URL", default="").strip().rstrip("/")
FEED_TOKEN: str = env.str("CASEWRIGHT_FEED_TOKEN", default="").strip()
# The folder of the programs that response actions may run; empty: none.
COMMANDS_DIR: str = env.str("CASEWRIGHT_COMMANDS_DIR", default="").strip()
EMAIL_URL: str = env.str("EMAIL_URL", default="").strip()
if EMAIL_URL:
    vars().update(environ.Env.email_url_config(EMAIL_URL))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="casewright@localhost")
# How often a canary flies through the whole way; 0 switches it off.
CANARY_SECONDS: int = env.int("CASEWRIGHT_CANARY_SECONDS", default=3600)

# What the live door takes at once. Fewer requests than the web server has threads leave some for people.
BULK_BODY_BYTES: int = env.int("CASEWRIGHT_BULK_BODY_MB", default=100) * 1024 * 1024
BULK_ITEMS: int = env.int("CASEWRIGHT_BULK_ITEMS", default=50_000)
BULK_IN_FLIGHT: int = env.int("CASEWRIGHT_BULK_IN_FLIGHT", default=4)
BULK_IN_FLIGHT_BYTES: int = env.int("CASEWRIGHT_BULK_IN_FLIGHT_MB", default=200) * 1024 * 1024
BULK_VERSION: str = env.str("CASEWRIGHT_BULK_VERSION", default="8.19.0")

CELERY_BROKER_URL = REDIS_URL or f"redis+socket://{BROKER_SOCKET}"
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Else a traceback on the terminal becomes a JSON line for each of its characters.
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A publish to a dead broker must not hang a page: kombu's own defaults wait for ever.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "health_check_interval": 25,
    "visibility_timeout": 3600,
}
CELERY_BEAT_SCHEDULER = "config.schedulers:CasewrightScheduler"
CELERY_BEAT_SYNC_EVERY = 1

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    # The client would tell every request and each try; what comes of them is told by who asked.
    "loggers": {"elastic_transport": {"level": "ERROR"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
