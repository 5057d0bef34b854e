"""The cluster that the settings name."""

from django.conf import settings

from detections.stores.elasticsearch import Access, Cluster, Credential

# Where an access has no credential of its own, the next one's will do.
_ELSE = {"canary": "write"}


def cluster() -> Cluster:
    """The settings of the Elasticsearch cluster, as its store takes them; docs/settings.md explains each."""
    return _named({access: found for access in Access if (found := _credential(access.value)).options()})


def cluster_for_setup() -> Cluster:
    """The same cluster, asked with the credential of who sets it up."""
    found = _credential("setup")
    return _named({access: found for access in Access if found.options()})


def has_its_own(access: Access) -> bool:
    """Whether an access has a credential of its own, and does not share another's."""
    return bool(_own(access.value).options())


def writes_copies() -> bool:
    """Whether a credential of its own may write copies of alerts."""
    return bool(settings.ELASTICSEARCH_URL) and has_its_own(Access.WRITE)


def _named(credentials: dict[Access, Credential]) -> Cluster:
    return Cluster(
        urls=tuple(settings.ELASTICSEARCH_URL.split(",")),
        patterns=tuple(settings.ELASTICSEARCH_INDICES),
        credentials=credentials,
        ca_file=settings.ELASTICSEARCH_CA_FILE,
        fingerprint=settings.ELASTICSEARCH_FINGERPRINT,
        verify=settings.ELASTICSEARCH_VERIFY,
        risks_accepted=settings.ELASTICSEARCH_ALLOW_INSECURE and settings.ELASTICSEARCH_ACCEPT_RISK,
        tiers_left_out=tuple(settings.ELASTICSEARCH_TIERS_LEFT_OUT),
        alerts_index=settings.ELASTICSEARCH_ALERTS_INDEX,
        writes_back=bool(settings.ELASTICSEARCH_ALERTS_INDEX) and settings.ELASTICSEARCH_ALERTS_WRITE_BACK,
    )


def _credential(access: str) -> Credential:
    """Of one access, else the one that stands in for it, else the one for all."""
    for name in (access, _ELSE.get(access), "all"):
        if name and (found := _own(name)).options():
            return found
    return Credential()


def _own(access: str) -> Credential:
    return Credential(**settings.ELASTICSEARCH_CREDENTIALS[access])
