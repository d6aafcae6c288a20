"""Tokens that are known by their prefix, for the providers that the library lacks.

Each row is a kind, the prefix, and what follows it, as the provider documents the format.
"""

from __future__ import annotations

from halo_engine.text.secrets.rule import Rule, token_rule

HEX = "[0-9a-f]"
UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"

# Where the text before the recognisable part is long, the clue is that part alone.
CLUES = {"azure-client-secret": r"\dQ~[\w~.-]{12}", "terraform-token": r"\.atlasv1\."}

TOKENS = (
    # models and what agents call
    ("anthropic-key", "sk-ant-", r"[\w-]{24,}+"),
    ("openai-key", "sk-(?:proj|svcacct|admin)-", r"[\w-]{32,}+"),
    ("openrouter-key", "sk-or-v1-", f"{HEX}{{64}}"),
    ("langfuse-key", "sk-lf-", UUID),
    ("secret-key", "sk-", r"(?=[A-Za-z]{0,40}[0-9])[A-Za-z0-9]{20,}+"),
    ("aws-bedrock-key", "ABSK", "[A-Za-z0-9+/]{100,}+={0,2}"),
    ("google-key", "AIza", r"[\w-]{35}"),
    ("google-access-token", r"ya29\.", r"[\w-]{20,}+"),
    ("google-refresh-token", "1//0", r"[\w-]{30,}+"),
    ("google-client-secret", "GOCSPX-", r"[\w-]{20,}+"),
    ("hugging-face-token", "hf_|api_org_", "[A-Za-z0-9]{34}"),
    ("groq-key", "gsk_", "[A-Za-z0-9]{40,}+"),
    ("xai-key", "xai-", "[A-Za-z0-9]{60,}+"),
    ("perplexity-key", "pplx-", "[A-Za-z0-9]{40,}+"),
    ("replicate-token", "r8_", "[A-Za-z0-9]{30,}+"),
    ("nvidia-key", "nvapi-", r"[\w-]{50,}+"),
    ("cerebras-key", "csk-", "[A-Za-z0-9]{40,}+"),
    ("fireworks-key", "fw_", "[A-Za-z0-9]{22,}+"),
    ("langsmith-key", "lsv2_(?:pt|sk)_", rf"{HEX}{{32}}_{HEX}{{10}}"),
    ("tavily-key", "tvly-(?:dev-|prod-)?", "[A-Za-z0-9]{24,}+"),
    ("pinecone-key", "pcsk_", r"\w{40,}+"),
    ("llamacloud-key", "llx-", "[A-Za-z0-9]{40,}+"),
    ("firecrawl-key", "fc-", f"{HEX}{{32}}"),
    ("e2b-key", "e2b_", f"{HEX}{{40}}"),
    ("jina-key", "jina_", r"\w{40,}+"),
    ("composio-key", "ak_|comp_", "[A-Za-z0-9]{32,}+"),
    # clouds and hosting
    ("azure-client-secret", r"[A-Za-z0-9_~.-]{3}[0-9]Q~", r"[\w~.-]{31,34}"),
    ("alibaba-key", "LTAI", "[A-Za-z0-9]{12,30}"),
    ("tencent-key", "AKID", "[A-Za-z0-9]{32}"),
    ("digitalocean-token", "do[opr]_v1_", f"{HEX}{{64}}"),
    ("heroku-key", "HRKU-", r"[\w-]{36,}+"),
    ("fly-token", "fo1_|fm[12]_", r"[\w+/=,-]{40,}+"),
    ("netlify-token", "nfp_", "[A-Za-z0-9]{36,}+"),
    ("planetscale-token", "pscale_(?:pw|tkn|oauth)_", r"[\w.-]{32,}+"),
    ("supabase-key", "sbp_|sb_secret_", r"[\w-]{22,}+"),
    ("databricks-token", "dapi", rf"{HEX}{{32}}(?:-\d)?"),
    ("snowflake-token", "ver:1-hint:", r"[\w:+/=-]{40,}+"),
    ("tailscale-key", "tskey-[a-z]+-", r"[\w-]{20,}+"),
    ("cloudflare-key", r"v1\.0-", rf"{HEX}{{24}}-{HEX}{{146}}"),
    ("vault-token", r"hv[bsr]\.", r"[\w-]{24,}+"),
    ("terraform-token", r"[A-Za-z0-9]{14}\.atlasv1\.", r"[\w-]{60,}+"),
    ("pulumi-token", "pul-", f"{HEX}{{40}}"),
    ("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"[\w.]{40,}+"),
    ("1password-token", "ops_eyJ", r"[\w=-]{100,}+"),
    ("age-key", "AGE-SECRET-KEY-1", "[0-9A-Z]{58}"),
    # code, packages and builds
    ("github-token", "github_pat_", r"\w{60,}+"),
    ("pypi-token", "pypi-AgE", r"[\w-]{16,}+"),
    ("npm-token", "npm_", "[A-Za-z0-9]{36}"),
    ("rubygems-key", "rubygems_", f"{HEX}{{48}}"),
    ("docker-token", "dckr_(?:pat|oat)_", r"[\w-]{20,}+"),
    ("atlassian-token", "ATATT3|ATCTT3|ATBB", r"[\w-]{24,}+(?:=[0-9A-F]{8})?"),
    ("buildkite-token", "bkua_", f"{HEX}{{40}}"),
    ("circleci-token", "CCIPAT_", r"\w{40,}+"),
    ("sonar-token", "sq[apu]_", f"{HEX}{{40}}"),
    ("postman-key", "PMAK-", f"{HEX}{{24}}-{HEX}{{34}}"),
    # monitoring
    ("grafana-token", "glsa_", rf"[A-Za-z0-9]{{32}}_{HEX}{{8}}"),
    ("grafana-token", "glc_eyJ", "[A-Za-z0-9+/=]{40,}+"),
    ("new-relic-key", "NR(?:AK|II|IQ|JS|RA)-", r"[\w-]{19,}+"),
    ("sentry-token", "sntrys_eyJ", r"[\w+/=-]{60,}+"),
    ("sentry-token", "sntryu_", f"{HEX}{{64}}"),
    ("dynatrace-token", r"dt0[a-z]\d\d\.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("posthog-key", "ph[xs]_", r"[A-Za-z0-9]{32,}+"),
    # payments, messages, work
    ("stripe-key", "[rs]k_(?:live|test)_", "[A-Za-z0-9]{16,}+"),
    ("stripe-webhook-secret", "whsec_", "[A-Za-z0-9+/=]{24,}+"),
    ("square-token", "sq0(?:atp|csp|idp)-", r"[\w-]{22,}+"),
    ("square-token", "EAAA", r"[\w-]{60}"),
    ("shopify-token", "shp(?:at|ca|pa|ss|tka)_", f"{HEX}{{32}}"),
    ("mailgun-key", "key-", f"{HEX}{{32}}"),
    ("resend-key", "re_", "[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),
    ("brevo-key", "xkeysib-", rf"{HEX}{{64}}-\w{{16}}"),
    ("slack-token", r"xapp-\d-|xox[aeprs]\.xox|xoxe-\d-", r"[\w-]{30,}+"),
    ("facebook-token", "EAA", "[A-Za-z0-9]{100,}+"),
    ("x-token", "AAAAAAAAAAAAAAAAAAAAA", "[A-Za-z0-9%]{50,}+"),
    ("linear-key", "lin_(?:api|oauth)_", "[A-Za-z0-9]{32,}+"),
    ("notion-token", "ntn_", "[A-Za-z0-9]{40,}+"),
    ("notion-token", "secret_", "(?=[A-Za-z]{0,42}[0-9])[A-Za-z0-9]{43}"),
    ("airtable-token", r"pat[A-Za-z0-9]{14}\.", f"{HEX}{{64}}"),
    ("figma-token", "fig[dou]r?_", r"[\w-]{36,}+"),
    ("asana-token", r"1/\d{16}:", f"{HEX}{{32}}"),
    ("hubspot-token", "pat-(?:na|eu)[12]-", UUID),
    ("dropbox-token", r"sl\.", r"(?:u\.)?[\w-]{100,}+"),
    ("contentful-token", "CFPAT-", r"[\w-]{43}"),
    ("typeform-token", "tfp_", r"[\w-]{40,}+"),
)


def provider_rules() -> tuple[Rule, ...]:
    """A rule for every row."""
    return tuple(
        token_rule(kind, prefix, body, clue=CLUES.get(kind)) for kind, prefix, body in TOKENS
    )
