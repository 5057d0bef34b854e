"""What each event of the Security log is: event.category, event.type, event.action, and whom it names.

Codes after Microsoft's documentation of advanced security auditing; words after ECS and its usage by agents.
"""

Meaning = tuple[list[str], list[str], str]

_USER = ["user", "change"]
_GROUP = ["group", "change"]

MEANINGS: dict[str, Meaning] = {
    "1100": (["process"], ["end"], "logging-service-shutdown"),
    "1102": (["iam"], ["admin", "change"], "audit-log-cleared"),
    "1104": (["iam"], ["admin"], "logging-full"),
    "1105": (["iam"], ["admin"], "auditlog-archieved"),  # spelled so by agents, and so tested by rules
    "4624": (["authentication"], ["start"], "logged-in"),
    "4625": (["authentication"], ["start"], "logon-failed"),
    "4634": (["authentication"], ["end"], "logged-out"),
    "4647": (["authentication"], ["end"], "logged-out"),
    "4648": (["authentication"], ["start"], "logged-in-explicit"),
    "4670": (["iam", "configuration"], ["admin", "change"], "permissions-changed"),
    "4672": (["iam"], ["admin"], "logged-in-special"),
    "4673": (["iam"], ["admin"], "privileged-service-called"),
    "4674": (["iam"], ["admin"], "privileged-operation"),
    "4688": (["process"], ["start"], "created-process"),
    "4689": (["process"], ["end"], "exited-process"),
    "4697": (["iam", "configuration"], ["admin", "change"], "service-installed"),
    "4698": (["iam", "configuration"], ["creation", "admin"], "scheduled-task-created"),
    "4699": (["iam", "configuration"], ["deletion", "admin"], "scheduled-task-deleted"),
    "4700": (["iam", "configuration"], ["change", "admin"], "scheduled-task-enabled"),
    "4701": (["iam", "configuration"], ["change", "admin"], "scheduled-task-disabled"),
    "4702": (["iam", "configuration"], ["change", "admin"], "scheduled-task-updated"),
    "4706": (["configuration"], ["creation"], "domain-trust-added"),
    "4707": (["configuration"], ["deletion"], "domain-trust-removed"),
    "4713": (["configuration"], ["change"], "kerberos-policy-changed"),
    "4716": (["configuration"], ["change"], "trusted-domain-information-changed"),
    "4717": (["iam", "configuration"], ["admin", "change"], "system-security-access-granted"),
    "4718": (["iam", "configuration"], ["admin", "deletion"], "system-security-access-removed"),
    "4719": (["iam", "configuration"], ["admin", "change"], "changed-audit-config"),
    "4720": (["iam"], ["user", "creation"], "added-user-account"),
    "4722": (["iam"], _USER, "enabled-user-account"),
    "4723": (["iam"], _USER, "changed-password"),
    "4724": (["iam"], _USER, "reset-password"),
    "4725": (["iam"], ["user", "deletion"], "disabled-user-account"),
    "4726": (["iam"], ["user", "deletion"], "deleted-user-account"),
    "4727": (["iam"], ["group", "creation"], "added-group-account"),
    "4728": (["iam"], _GROUP, "added-member-to-group"),
    "4729": (["iam"], _GROUP, "removed-member-from-group"),
    "4730": (["iam"], ["group", "deletion"], "deleted-group-account"),
    "4731": (["iam"], ["group", "creation"], "added-group-account"),
    "4732": (["iam"], _GROUP, "added-member-to-group"),
    "4733": (["iam"], _GROUP, "removed-member-from-group"),
    "4734": (["iam"], ["group", "deletion"], "deleted-group-account"),
    "4735": (["iam"], _GROUP, "modified-group-account"),
    "4737": (["iam"], _GROUP, "modified-group-account"),
    "4738": (["iam"], _USER, "modified-user-account"),
    "4739": (["configuration"], ["change"], "domain-policy-changed"),
    "4740": (["iam"], _USER, "locked-out-user-account"),
    "4741": (["iam"], ["creation", "admin"], "added-computer-account"),
    "4742": (["iam"], ["change", "admin"], "changed-computer-account"),
    "4743": (["iam"], ["deletion", "admin"], "deleted-computer-account"),
    "4744": (["iam"], ["group", "creation"], "added-distribution-group-account"),
    "4745": (["iam"], _GROUP, "changed-distribution-group-account"),
    "4746": (["iam"], _GROUP, "added-member-to-distribution-group"),
    "4747": (["iam"], _GROUP, "removed-member-from-distribution-group"),
    "4748": (["iam"], ["group", "deletion"], "deleted-distribution-group-account"),
    "4749": (["iam"], ["group", "creation"], "added-distribution-group-account"),
    "4750": (["iam"], _GROUP, "changed-distribution-group-account"),
    "4751": (["iam"], _GROUP, "added-member-to-distribution-group"),
    "4752": (["iam"], _GROUP, "removed-member-from-distribution-group"),
    "4753": (["iam"], ["group", "deletion"], "deleted-distribution-group-account"),
    "4754": (["iam"], ["group", "creation"], "added-group-account"),
    "4755": (["iam"], _GROUP, "modified-group-account"),
    "4756": (["iam"], _GROUP, "added-member-to-group"),
    "4757": (["iam"], _GROUP, "removed-member-from-group"),
    "4758": (["iam"], ["group", "deletion"], "deleted-group-account"),
    "4759": (["iam"], ["group", "creation"], "added-distribution-group-account"),
    "4760": (["iam"], _GROUP, "changed-distribution-group-account"),
    "4761": (["iam"], _GROUP, "added-member-to-distribution-group"),
    "4762": (["iam"], _GROUP, "removed-member-from-distribution-group"),
    "4763": (["iam"], ["group", "deletion"], "deleted-distribution-group-account"),
    "4764": (["iam"], _GROUP, "type-changed-group-account"),
    "4767": (["iam"], _USER, "unlocked-user-account"),
    "4768": (["authentication"], ["start"], "kerberos-authentication-ticket-requested"),
    "4769": (["authentication"], ["start"], "kerberos-service-ticket-requested"),
    "4770": (["authentication"], ["start"], "kerberos-service-ticket-renewed"),
    "4771": (["authentication"], ["start"], "kerberos-preauth-failed"),
    "4776": (["authentication"], ["start"], "credential-validated"),
    "4778": (["authentication", "session"], ["start"], "session-reconnected"),
    "4779": (["authentication", "session"], ["end"], "session-disconnected"),
    "4781": (["iam"], _USER, "renamed-user-account"),
    "4797": (["iam"], ["user", "info"], "query-existence-of-blank-password"),
    "4798": (["iam"], ["user", "info"], "group-membership-enumerated"),
    "4799": (["iam"], ["group", "info"], "user-member-enumerated"),
    "4817": (["iam", "configuration"], ["admin", "change"], "object-audit-changed"),
    "4902": (["iam", "configuration"], ["admin", "creation"], "user-audit-policy-created"),
    "4904": (["iam", "configuration"], ["admin", "change"], "security-event-source-added"),
    "4905": (["iam", "configuration"], ["admin", "deletion"], "security-event-source-removed"),
    "4906": (["iam", "configuration"], ["admin", "change"], "crash-on-audit-changed"),
    "4907": (["iam", "configuration"], ["admin", "change"], "audit-setting-changed"),
    "4908": (["iam", "configuration"], ["admin", "change"], "special-group-table-changed"),
    "4912": (["iam", "configuration"], ["admin", "change"], "per-user-audit-policy-changed"),
    "4964": (["iam"], ["admin", "group"], "logged-in-special"),
    "5140": (["network", "file"], ["info", "access"], "network-share-object-accessed"),
    "5145": (["network", "file"], ["info", "access"], "network-share-object-access-checked"),
    "5379": (["iam"], ["user", "info"], "credential-manager-credentials-were-read"),
    "5380": (["iam"], ["user", "info"], "vault-credential-find"),
    "5381": (["iam"], ["user", "info"], "vault-credentials-were-read"),
    "5382": (["iam"], ["user", "info"], "vault-credentials-were-read"),
}

# Whose account is `user`: the target's or the session's, where it is not the one that acted (Subject).
TARGET_IS_USER = frozenset({"4624", "4625", "4634", "4647", "4768", "4769", "4770", "4771", "4776", "4964"})
ACCOUNT_IS_USER = frozenset({"4778", "4779"})
EFFECTIVE = frozenset({"4648", "4688"})
TARGET_SESSION = frozenset({"4634", "4647"})
BOTH_RELATED = frozenset({"4624", "4648"})

USER_TARGETS = frozenset(
    {"4720", "4722", "4723", "4724", "4725", "4726", "4738", "4740", "4767", "4797", "4798"}
)
MEMBERSHIPS = frozenset(
    {"4728", "4729", "4732", "4733", "4746", "4747", "4751", "4752", "4756", "4757", "4761", "4762"}
)
GROUPS = MEMBERSHIPS | frozenset(
    {"4727", "4730", "4731", "4734", "4735", "4737", "4744", "4745", "4748", "4749", "4750", "4753", "4754",
     "4755", "4758", "4759", "4760", "4763", "4764", "4799"}
)  # fmt: skip
COMPUTERS = frozenset({"4741", "4742", "4743"})
SERVICES = frozenset({"4697", "4768", "4769", "4770", "4771"})
PRIVILEGES = frozenset({"4672", "4673", "4674", "4741", "4742", "4743"})
