"""The cluster that the settings name."""

from django.conf import settings

from detections.stores.elasticsearch import Access, Cluster, Credential


def cluster() -> Cluster:
    """The settings of the Elasticsearch cluster, as its store takes them; docs/settings.md explains each."""
    return Cluster(
        urls=tuple(settings.ELASTICSEARCH_URL.split(",")),
        patterns=tuple(settings.ELASTICSEARCH_INDICES),
        credentials={access: found for access in Access if (found := _credential(access)).options()},
        ca_file=settings.ELASTICSEARCH_CA_FILE,
        fingerprint=settings.ELASTICSEARCH_FINGERPRINT,
        verify=settings.ELASTICSEARCH_VERIFY,
        risks_accepted=settings.ELASTICSEARCH_ALLOW_INSECURE and settings.ELASTICSEARCH_ACCEPT_RISK,
    )


def _credential(access: Access) -> Credential:
    """Of one access, else the one for all."""
    own = Credential(**settings.ELASTICSEARCH_CREDENTIALS[access.value])
    return own if own.options() else Credential(**settings.ELASTICSEARCH_CREDENTIALS["all"])
