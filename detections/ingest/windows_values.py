"""What numbers in Windows' data stand for, after Microsoft's documentation (and RFC 4120 for Kerberos)."""

from detections.ingest.windows_fields import number

LOGON_TYPES = {
    "0": "System",
    "2": "Interactive",
    "3": "Network",
    "4": "Batch",
    "5": "Service",
    "7": "Unlock",
    "8": "NetworkCleartext",
    "9": "NewCredentials",
    "10": "RemoteInteractive",
    "11": "CachedInteractive",
    "12": "CachedRemoteInteractive",
    "13": "CachedUnlock",
}
SERVICE_TYPES = {
    "0x1": "Kernel Driver",
    "0x2": "File System Driver",
    "0x8": "Recognizer Driver",
    "0x10": "Win32 Own Process",
    "0x20": "Win32 Share Process",
    "0x110": "Interactive Own Process",
    "0x120": "Interactive Share Process",
}
# MS-SAMR 2.2.1.12, the USER_ACCOUNT codes from bit 0 on.
_ACCOUNT_FLAGS = (
    "USER_ACCOUNT_DISABLED", "USER_HOME_DIRECTORY_REQUIRED", "USER_PASSWORD_NOT_REQUIRED",
    "USER_TEMP_DUPLICATE_ACCOUNT", "USER_NORMAL_ACCOUNT", "USER_MNS_LOGON_ACCOUNT",
    "USER_INTERDOMAIN_TRUST_ACCOUNT", "USER_WORKSTATION_TRUST_ACCOUNT", "USER_SERVER_TRUST_ACCOUNT",
    "USER_DONT_EXPIRE_PASSWORD", "USER_ACCOUNT_AUTO_LOCKED", "USER_ENCRYPTED_TEXT_PASSWORD_ALLOWED",
    "USER_SMARTCARD_REQUIRED", "USER_TRUSTED_FOR_DELEGATION", "USER_NOT_DELEGATED", "USER_USE_DES_KEY_ONLY",
    "USER_DONT_REQUIRE_PREAUTH", "USER_PASSWORD_EXPIRED", "USER_TRUSTED_TO_AUTHENTICATE_FOR_DELEGATION",
    "USER_NO_AUTH_DATA_REQUIRED", "USER_PARTIAL_SECRETS_ACCOUNT", "USER_USE_AES_KEYS",
)  # fmt: skip
# Microsoft's table of ticket flags for 4768 counts from the most significant bit.
_TICKET_OPTIONS = {
    1: "Forwardable", 2: "Forwarded", 3: "Proxiable", 4: "Proxy", 5: "Allow-postdate", 6: "Postdated",
    7: "Invalid", 8: "Renewable", 9: "Initial", 10: "Pre-authent", 11: "Opt-hardware-auth",
    12: "Transited-policy-checked", 13: "Ok-as-delegate", 14: "Request-anonymous", 15: "Name-canonicalize",
    26: "Disable-transited-check", 27: "Renewable-ok", 28: "Enc-tkt-in-skey", 30: "Renew", 31: "Validate",
}  # fmt: skip
TICKET_ENCRYPTION = {
    0x1: "DES-CBC-CRC",
    0x3: "DES-CBC-MD5",
    0x11: "AES128-CTS-HMAC-SHA1-96",
    0x12: "AES256-CTS-HMAC-SHA1-96",
    0x17: "RC4-HMAC",
    0x18: "RC4-HMAC-EXP",
    0xFFFFFFFF: "FAIL",
}
# RFC 4120, 7.5.9.
KERBEROS_STATUS = {
    0x0: "KDC_ERR_NONE", 0x1: "KDC_ERR_NAME_EXP", 0x2: "KDC_ERR_SERVICE_EXP", 0x3: "KDC_ERR_BAD_PVNO",
    0x4: "KDC_ERR_C_OLD_MAST_KVNO", 0x5: "KDC_ERR_S_OLD_MAST_KVNO", 0x6: "KDC_ERR_C_PRINCIPAL_UNKNOWN",
    0x7: "KDC_ERR_S_PRINCIPAL_UNKNOWN", 0x8: "KDC_ERR_PRINCIPAL_NOT_UNIQUE", 0x9: "KDC_ERR_NULL_KEY",
    0xA: "KDC_ERR_CANNOT_POSTDATE", 0xB: "KDC_ERR_NEVER_VALID", 0xC: "KDC_ERR_POLICY",
    0xD: "KDC_ERR_BADOPTION", 0xE: "KDC_ERR_ETYPE_NOSUPP", 0xF: "KDC_ERR_SUMTYPE_NOSUPP",
    0x10: "KDC_ERR_PADATA_TYPE_NOSUPP", 0x11: "KDC_ERR_TRTYPE_NOSUPP", 0x12: "KDC_ERR_CLIENT_REVOKED",
    0x13: "KDC_ERR_SERVICE_REVOKED", 0x14: "KDC_ERR_TGT_REVOKED", 0x15: "KDC_ERR_CLIENT_NOTYET",
    0x16: "KDC_ERR_SERVICE_NOTYET", 0x17: "KDC_ERR_KEY_EXPIRED", 0x18: "KDC_ERR_PREAUTH_FAILED",
    0x19: "KDC_ERR_PREAUTH_REQUIRED", 0x1A: "KDC_ERR_SERVER_NOMATCH", 0x1B: "KDC_ERR_MUST_USE_USER2USER",
    0x1C: "KDC_ERR_PATH_NOT_ACCEPTED", 0x1D: "KDC_ERR_SVC_UNAVAILABLE", 0x1F: "KRB_AP_ERR_BAD_INTEGRITY",
    0x20: "KRB_AP_ERR_TKT_EXPIRED", 0x21: "KRB_AP_ERR_TKT_NYV", 0x22: "KRB_AP_ERR_REPEAT",
    0x23: "KRB_AP_ERR_NOT_US", 0x24: "KRB_AP_ERR_BADMATCH", 0x25: "KRB_AP_ERR_SKEW",
    0x26: "KRB_AP_ERR_BADADDR", 0x27: "KRB_AP_ERR_BADVERSION", 0x28: "KRB_AP_ERR_MSG_TYPE",
    0x29: "KRB_AP_ERR_MODIFIED", 0x2A: "KRB_AP_ERR_BADORDER", 0x2C: "KRB_AP_ERR_BADKEYVER",
    0x2D: "KRB_AP_ERR_NOKEY", 0x2E: "KRB_AP_ERR_MUT_FAIL", 0x2F: "KRB_AP_ERR_BADDIRECTION",
    0x30: "KRB_AP_ERR_METHOD", 0x31: "KRB_AP_ERR_BADSEQ", 0x32: "KRB_AP_ERR_INAPP_CKSUM",
    0x33: "KRB_AP_PATH_NOT_ACCEPTED", 0x34: "KRB_ERR_RESPONSE_TOO_BIG", 0x3C: "KRB_ERR_GENERIC",
    0x3D: "KRB_ERR_FIELD_TOOLONG", 0x3E: "KDC_ERR_CLIENT_NOT_TRUSTED", 0x3F: "KDC_ERR_KDC_NOT_TRUSTED",
    0x40: "KDC_ERR_INVALID_SIG", 0x41: "KDC_ERR_KEY_TOO_WEAK", 0x42: "KRB_AP_ERR_USER_TO_USER_REQUIRED",
    0x43: "KRB_AP_ERR_NO_TGT", 0x44: "KDC_ERR_WRONG_REALM",
}  # fmt: skip
# Microsoft's documentation of event 4625.
LOGON_FAILURES = {
    0x0: "Status OK.",
    0xC000005E: "There are currently no logon servers available to service the logon request.",
    0xC0000064: "User logon with misspelled or bad user account",
    0xC000006A: "User logon with misspelled or bad password",
    0xC000006D: "This is either due to a bad username or authentication information",
    0xC000006E: "Unknown user name or bad password",
    0xC000006F: "User logon outside authorized hours",
    0xC0000070: "User logon from unauthorized workstation",
    0xC0000071: "User logon with expired password",
    0xC0000072: "User logon to account disabled by administrator",
    0xC00000DC: "Indicates the Sam Server was in the wrong state to perform the desired operation",
    0xC0000133: "Clocks between DC and other computer too far out of sync",
    0xC000015B: "The user has not been granted the requested logon type at this machine",
    0xC000018C: "The trust relationship between the primary domain and the trusted domain failed",
    0xC0000192: "An attempt was made to logon, but the Netlogon service was not started",
    0xC0000193: "User logon with expired account",
    0xC0000224: "User is required to change password at next logon",
    0xC0000234: "User logon with account locked",
    0xC0000413: "The machine is protected by an authentication firewall; the account may not log on to it",
}
LOGON_FAILURE_REASONS = {
    "%%2304": "An Error occured during Logon.",
    "%%2305": "The specified user account has expired.",
    "%%2306": "The NetLogon component is not active.",
    "%%2307": "Account locked out.",
    "%%2308": "The user has not been granted the requested logon type at this machine.",
    "%%2309": "The specified account's password has expired.",
    "%%2310": "Account currently disabled.",
    "%%2311": "Account logon time restriction violation.",
    "%%2312": "User not allowed to logon at this computer.",
    "%%2313": "Unknown user name or bad password.",
}
# Messages that stand in the data as %%number: rights of an access mask.
_RIGHTS = {
    "%%1537": "DELETE",
    "%%1538": "READ_CONTROL",
    "%%1539": "WRITE_DAC",
    "%%1540": "WRITE_OWNER",
    "%%1541": "SYNCHRONIZE",
    "%%1542": "ACCESS_SYS_SEC",
}
# MS-ADTS 6.1.6.7.
TRUST_DIRECTIONS = {
    0: "TRUST_DIRECTION_DISABLED",
    1: "TRUST_DIRECTION_INBOUND",
    2: "TRUST_DIRECTION_OUTBOUND",
    3: "TRUST_DIRECTION_BIDIRECTIONAL",
}
TRUST_TYPES = {
    1: "TRUST_TYPE_DOWNLEVEL",
    2: "TRUST_TYPE_UPLEVEL",
    3: "TRUST_TYPE_MIT",
    4: "TRUST_TYPE_DCE",
}
TRUST_ATTRIBUTES = {
    0: "UNDEFINED",
    0x1: "TRUST_ATTRIBUTE_NON_TRANSITIVE",
    0x2: "TRUST_ATTRIBUTE_UPLEVEL_ONLY",
    0x4: "TRUST_ATTRIBUTE_QUARANTINED_DOMAIN",
    0x8: "TRUST_ATTRIBUTE_FOREST_TRANSITIVE",
    0x10: "TRUST_ATTRIBUTE_CROSS_ORGANIZATION",
    0x20: "TRUST_ATTRIBUTE_WITHIN_FOREST",
    0x40: "TRUST_ATTRIBUTE_TREAT_AS_EXTERNAL",
    0x80: "TRUST_ATTRIBUTE_USES_RC4_ENCRYPTION",
}
AUDIT_CHANGES = {
    "%%8448": "Success removed",
    "%%8449": "Success Added",
    "%%8450": "Failure removed",
    "%%8451": "Failure Added",
}
AUDIT_CATEGORIES = {
    "%%8272": "System",
    "%%8273": "Logon/Logoff",
    "%%8274": "Object Access",
    "%%8275": "Privilege Use",
    "%%8276": "Detailed Tracking",
    "%%8277": "Policy Change",
    "%%8278": "Account Management",
    "%%8279": "DS Access",
    "%%8280": "Account Logon",
}
# MS-GPAC 2.2.1.2: the subcategories' GUIDs count from 0cce9210 on.
_FIRST_AUDIT_SUBCATEGORY = 0x0CCE9210
_AUDIT_SUBCATEGORIES = (
    "Security State Change", "Security System Extension", "System Integrity", "IPsec Driver",
    "Other System Events", "Logon", "Logoff", "Account Lockout", "IPsec Main Mode", "IPsec Quick Mode",
    "IPsec Extended Mode", "Special Logon", "Other Logon/Logoff Events", "File System", "Registry",
    "Kernel Object", "SAM", "Certification Services", "Application Generated", "Handle Manipulation",
    "File Share", "Filtering Platform Packet Drop", "Filtering Platform Connection",
    "Other Object Access Events", "Sensitive Privilege Use", "Non Sensitive Privilege Use",
    "Other Privilege Use Events", "Process Creation", "Process Termination", "DPAPI Activity", "RPC Events",
    "Audit Policy Change", "Authentication Policy Change", "Authorization Policy Change",
    "MPSSVC Rule-Level Policy Change", "Filtering Platform Policy Change", "Other Policy Change Events",
    "User Account Management", "Computer Account Management", "Security Group Management",
    "Distribution Group Management", "Application Group Management", "Other Account Management Events",
    "Directory Service Access", "Directory Service Changes", "Directory Service Replication",
    "Detailed Directory Service Replication", "Credential Validation", "Kerberos Service Ticket Operations",
    "Other Account Logon Events", "Kerberos Authentication Service", "Network Policy Server",
    "Detailed File Share", "Removable Storage", "Central Policy Staging", "User / Device Claims",
    "Plug and Play Events", "Group Membership",
)  # fmt: skip


def account_flags(mask: int) -> list[str]:
    """The names of the bits of a user account control value."""
    return [name for bit, name in enumerate(_ACCOUNT_FLAGS) if mask & 1 << bit]


def ticket_options(mask: int) -> list[str]:
    """The names of Kerberos ticket options, from the least significant bit on."""
    return [
        _TICKET_OPTIONS[bit] for bit in range(31, -1, -1) if bit in _TICKET_OPTIONS and mask & 1 << (31 - bit)
    ]


def rights(codes: list[str]) -> list[str]:
    """The names of the standard rights among messages such as %%1538."""
    return [_RIGHTS[code] for code in codes if code in _RIGHTS]


def audit_subcategory(guid: str) -> str:
    """The name of an audit subcategory, or ""."""
    start, _, rest = guid.strip("{}").lower().partition("-")
    if rest != "69ae-11d9-bed3-505054503030":
        return ""
    place = (number(f"0x{start}") or 0) - _FIRST_AUDIT_SUBCATEGORY
    return _AUDIT_SUBCATEGORIES[place] if 0 <= place < len(_AUDIT_SUBCATEGORIES) else ""
