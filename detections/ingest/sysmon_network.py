"""Sysmon's network connections and DNS queries."""

import base64
import hashlib
import ipaddress
import struct
from functools import lru_cache

from detections import ecs
from detections.ecs import Document
from detections.ingest.windows_fields import add_related, address, number

_DIRECTIONS = {"true": "egress", "false": "ingress"}
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
_DNS_TYPES = {
    "1": "A", "2": "NS", "5": "CNAME", "6": "SOA", "12": "PTR", "15": "MX", "16": "TXT", "28": "AAAA",
    "33": "SRV", "39": "DNAME", "43": "DS", "46": "RRSIG", "48": "DNSKEY", "64": "SVCB", "65": "HTTPS",
}  # fmt: skip
_DNS_STATUS = {
    "0": "SUCCESS",
    "5": "ERROR_ACCESS_DENIED",
    "8": "ERROR_NOT_ENOUGH_MEMORY",
    "13": "ERROR_INVALID_DATA",
    "14": "ERROR_OUTOFMEMORY",
    "87": "ERROR_INVALID_PARAMETER",
    "123": "ERROR_INVALID_NAME",
    "1214": "ERROR_INVALID_NETNAME",
    "1223": "ERROR_CANCELLED",
    "1460": "ERROR_TIMEOUT",
    "9001": "DNS_ERROR_RCODE_FORMAT_ERROR",
    "9002": "DNS_ERROR_RCODE_SERVER_FAILURE",
    "9003": "DNS_ERROR_RCODE_NAME_ERROR",
    "9004": "DNS_ERROR_RCODE_NOT_IMPLEMENTED",
    "9005": "DNS_ERROR_RCODE_REFUSED",
    "9501": "DNS_INFO_NO_RECORDS",
    "9560": "DNS_ERROR_INVALID_NAME_CHAR",
    "9701": "DNS_ERROR_RECORD_DOES_NOT_EXIST",
}
_Data = dict[str, str]


def put_connection(document: Document, data: _Data) -> None:
    """Both ends, transport and direction, as logged: whichever end Sysmon calls the source stays that."""
    transport = data.pop("Protocol", "").lower()
    ecs.put(document, "network.transport", transport)
    ecs.put(
        document, "network.protocol", data.pop("DestinationPortName", "") or data.pop("SourcePortName", "")
    )
    data.pop("SourcePortName", None)
    ecs.put(document, "network.direction", _DIRECTIONS.get(data.pop("Initiated", "").lower()))
    ipv6 = data.pop("SourceIsIpv6", "").lower()
    data.pop("DestinationIsIpv6", None)
    ecs.put(document, "network.type", {"true": "ipv6", "false": "ipv4"}.get(ipv6))
    for side, prefix in (("source", "Source"), ("destination", "Destination")):
        _put_side(document, side, prefix, data)
    ecs.put(document, "network.community_id", _community_id(document, transport))


def _put_side(document: Document, side: str, prefix: str, data: _Data) -> None:
    ip = address(data.get(f"{prefix}Ip", ""))
    if ip:
        del data[f"{prefix}Ip"]
        add_related(document, "ip", ip)
    ecs.put(document, f"{side}.ip", ip)
    ecs.put(document, f"{side}.port", number(data.pop(f"{prefix}Port", "")))
    ecs.put(document, f"{side}.domain", data.pop(f"{prefix}Hostname", ""))


def _community_id(document: Document, transport: str) -> str:
    """Community ID 1 with seed 0: a hash that both directions of a flow share. "" if a part is missing."""
    ends = [
        (ecs.get(document, f"{side}.ip"), ecs.get(document, f"{side}.port"))
        for side in ("source", "destination")
    ]
    protocol = _PROTOCOLS.get(transport)
    if protocol is None or any(ip is None or port is None or not 0 <= port < 65536 for ip, port in ends):
        return ""
    packed = sorted((_packed(ip), port) for ip, port in ends)
    (low, low_port), (high, high_port) = packed
    content = struct.pack(">H", 0) + low + high + struct.pack(">BBHH", protocol, 0, low_port, high_port)
    return "1:" + base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


@lru_cache(maxsize=8192)
def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


def put_dns(document: Document, data: _Data) -> None:
    """The question, its answers, and what it resolved to."""
    name = data.pop("QueryName", "")
    status = data.pop("QueryStatus", "")
    ecs.put(document, "network.protocol", "dns")
    ecs.put(document, "dns.question.name", name)
    ecs.put(document, "sysmon.dns.status", _DNS_STATUS.get(status, status))
    answers = [_answer(part.strip()) for part in data.pop("QueryResults", "").split(";") if part.strip()]
    resolved = [answer["data"] for answer in answers if answer.get("type") in ("A", "AAAA")]
    named = [answer.get("data", "") for answer in answers if answer.get("type") not in ("A", "AAAA", None)]
    ecs.put(document, "dns.answers", answers or None)
    ecs.put(document, "dns.resolved_ip", resolved or None)
    add_related(document, "hosts", *named, name)
    add_related(document, "ip", *resolved)


def _answer(text: str) -> dict[str, str]:
    if text.startswith("type:"):
        kind, _, data = text.removeprefix("type:").strip().partition(" ")
        kind = _DNS_TYPES.get(kind, kind)
        return {"type": kind, "data": data.strip()} if data.strip() else {"type": kind}
    ip = address(text)
    if not ip:
        return {"data": text}  # Sysmon cuts long lists in the middle of an address
    return {"type": "AAAA" if ":" in ip else "A", "data": ip}
