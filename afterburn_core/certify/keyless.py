"""Keyless Sigstore: the statement signed once more, under an identity instead of a key, in a public log.

Opt-in, for what it publishes cannot be taken back: the identity of who signs (an e-mail address or a CI workflow), the
digest of the statement and the time stay in a public transparency log for ever. It needs the network and an OpenID
identity. The certificate's own bundle is unchanged beside it; this one is verified by `sigstore verify identity`, and
`afterburn verify` does not look at it.
"""

from __future__ import annotations

from afterburn_core.certify.envelope import open_payload
from afterburn_core.certify.extras import extras
from afterburn_core.errors import ConfigError


def sign(payload: bytes, identity_token: str | None = None) -> bytes:
    """A Sigstore bundle over the certificate's statement, logged in public.

    Args:
        payload: the statement's bytes, as the certificate has them (`envelope.Opened.payload`).
        identity_token: an OpenID token; that of the CI system if absent.

    Raises:
        ConfigError: the extra `keyless` is not installed, there is no identity, or a service refuses.
        Invalid: the payload is no certificate's.
    """
    open_payload(payload)
    with extras("a keyless signature"):
        from sigstore.dsse import Statement
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken, detect_credential
        from sigstore.sign import SigningContext
    try:
        token = identity_token or detect_credential()
        if token is None:
            raise ConfigError("a keyless signature needs an OpenID token, and no CI system offers one here")
        identity, statement = IdentityToken(token), Statement(payload)
        context = SigningContext.from_trust_config(ClientTrustConfig.production())
        with context.signer(identity) as signer:
            bundle: str = signer.sign_dsse(statement).to_json()
    except ConfigError:
        raise
    except Exception as error:  # its services, their certificates and the network in between
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"no keyless signature: {type(error).__name__}: {said}") from error
    return bundle.encode("utf-8")
