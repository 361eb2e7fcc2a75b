"""OAuth2 by oauthlib: the rules of RFC 6749 and 7636 are the library's, who is who is ours. Pure: nothing here waits.

One Asking serves one request: what takes time (a password) was done before, what has to be stored is left in `put` and `spend`.
"""

# ruff: noqa: ARG002 - the arguments are oauthlib's

from __future__ import annotations

import hmac
import logging
import re
from typing import Any, Final, NamedTuple

from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    ClientCredentialsGrant,
    InvalidRequestError,
    RefreshTokenGrant,
    RequestValidator,
    ResourceOwnerPasswordCredentialsGrant,
    TokenEndpoint,
)

from bridge.core.registry import Account, Registry
from bridge.core.secrets import digest, matches, new_secret
from bridge.http.belimo_tokens import CODE_MS, Code, Tokens
from bridge.store.tokens import Token

logging.getLogger("oauthlib").setLevel(logging.WARNING)  # at debug level it writes passwords and tokens

SCOPES: Final = (
    *("public.read", "public.write", "read:dataprofile", "offline_access"),
    *("internal", "mobilebroker", "account", "claiming-protection", "experimental"),
)
"""Those that Belimo documents. The first four mean something here: reading, writing, dataprofiles, a refresh token."""
DEFAULT_SCOPES: Final = SCOPES[:4]
"""Of who names none: the oldest examples and the npm client do not, and want to refresh."""
OFFLINE: Final = "offline_access"


class Client(NamedTuple):
    """Who asks for tokens. Without a secret it is public; `account` is what it is by itself."""

    client_id: str
    secret: str = ""
    account: str = ""
    redirect_uris: tuple[str, ...] = ()


class Clients:
    """The clients of the configuration, and every account as one."""

    def __init__(self, configured: tuple[Client, ...], registry: Registry) -> None:
        self._configured = {client.client_id: client for client in configured}
        self._registry = registry

    def find(self, name: str) -> Client | None:
        """The client, or None."""
        if name in self._configured:
            return self._configured[name]
        return Client(name, "\0", name) if self._registry.account(name) is not None else None

    def authentic(self, client: Client, secret: str) -> bool:
        """Whether it is that confidential client that shows this secret. An account shows its key."""
        if client.client_id in self._configured:
            return bool(client.secret) and hmac.compare_digest(client.secret.encode(), _bytes(secret))
        account = self._registry.account(client.client_id)
        return account is not None and matches(secret, account.key_hash)


class _Bearer(BearerToken):  # type: ignore[misc]
    """Tokens with a refresh token only where offline access was asked for."""

    def create_token(self, request: Any, refresh_token: bool = False, **more: Any) -> Any:
        return super().create_token(request, refresh_token and OFFLINE in request.scopes, **more)


class _Code(AuthorizationCodeGrant):  # type: ignore[misc]
    """PKCE as it should be: a plain challenge hides nothing."""

    _code_challenge_methods = {"S256": AuthorizationCodeGrant._code_challenge_methods["S256"]}  # noqa: RUF012

    def validate_authorization_request(self, request: Any) -> Any:
        found = super().validate_authorization_request(request)
        if request.code_challenge is not None and not _CHALLENGE.fullmatch(request.code_challenge):
            raise InvalidRequestError(description="A code_challenge is 43 characters of base64url.", request=request)
        return found


_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class _Server(AuthorizationEndpoint, TokenEndpoint):  # type: ignore[misc]
    """The four grants, and no other."""

    def __init__(self, asking: Asking, access_token_s: int) -> None:
        bearer = _Bearer(asking, lambda _request: new_secret(), access_token_s)
        code = _Code(asking)
        AuthorizationEndpoint.__init__(self, "code", bearer, {"code": code})
        grants = {
            "authorization_code": code,
            "password": ResourceOwnerPasswordCredentialsGrant(asking),
            "client_credentials": ClientCredentialsGrant(asking),
            "refresh_token": RefreshTokenGrant(asking, issue_new_refresh_tokens=True),
        }
        TokenEndpoint.__init__(self, "authorization_code", bearer, grants)


class Asking(RequestValidator):  # type: ignore[misc]
    """What oauthlib asks of us about one request. `user` is the account whose password was right, `client` the name and secret of
    an Authorization header."""

    def __init__(
        self,
        tokens: Tokens,
        clients: Clients,
        lifetimes: tuple[int, int],
        user: Account | None = None,
        basic: tuple[str, str] | None = None,
    ) -> None:
        self.put: list[Token] = []
        self.gone: list[Token] = []
        self.wrong_client = False
        self._tokens = tokens
        self._clients = clients
        self._lifetimes = lifetimes
        self._user = user
        self._basic = basic
        self._family = ""

    @property
    def server(self) -> Any:
        """oauthlib's endpoints, for this request."""
        return _Server(self, self._lifetimes[0] // 1000)

    # Clients.

    def client_authentication_required(self, request: Any) -> bool:
        client = self._clients.find(self._shown(request)[0])
        return client is None or bool(client.secret)

    def authenticate_client(self, request: Any) -> bool:
        name, secret = self._shown(request)
        client = self._clients.find(name)
        if client is None or not self._clients.authentic(client, secret):
            self.wrong_client = True
            return False
        request.client, request.client_id = client, name
        return True

    def authenticate_client_id(self, client_id: str, request: Any) -> bool:
        client = self._clients.find(self._shown(request)[0])
        if client is None or client.secret:
            return False
        request.client, request.client_id = client, client.client_id
        return True

    def validate_client_id(self, client_id: str, request: Any) -> bool:
        request.client = self._clients.find(client_id)
        return request.client is not None

    def validate_grant_type(self, client_id: str, grant_type: str, client: Client, request: Any) -> bool:
        if grant_type == "client_credentials":
            request.user = self._tokens.registry.account(client.account)
            return request.user is not None and bool(client.secret)
        return grant_type != "password" or bool(client.secret)

    def validate_response_type(self, client_id: str, response_type: str, client: Client, request: Any) -> bool:
        return bool(response_type == "code")

    # Redirection.

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any) -> bool:
        return redirect_uri in request.client.redirect_uris

    def get_default_redirect_uri(self, client_id: str, request: Any) -> str | None:
        uris = request.client.redirect_uris
        return uris[0] if len(uris) == 1 else None

    # Scopes.

    def validate_scopes(self, client_id: str, scopes: list[str], client: Client, request: Any) -> bool:
        return set(scopes) <= set(SCOPES)

    def get_default_scopes(self, client_id: str, request: Any) -> list[str]:
        return list(DEFAULT_SCOPES)

    # Passwords and codes.

    def validate_user(self, username: str, password: str, client: Client, request: Any) -> bool:
        request.user = self._user
        return self._user is not None

    def save_authorization_code(self, client_id: str, code: dict[str, str], request: Any) -> None:
        assert self._user is not None  # noqa: S101 - the page asks for the password first
        until = self._tokens.clock() + CODE_MS
        scope, challenge = " ".join(request.scopes), request.code_challenge
        method = request.code_challenge_method if challenge else None
        kept = Code(
            self._user.name, self._user.key_hash, client_id, request.redirect_uri, scope, challenge, method,
            new_secret(), until,
        )  # fmt: skip
        self._tokens.codes.put(code["code"], kept)

    def validate_code(self, client_id: str, code: str, client: Client, request: Any) -> bool:
        kept = self._tokens.codes.find(code)
        if kept is None or kept.client != client.client_id:
            return False
        if kept.used:  # somebody has seen it on its way: what it opened is closed
            self.gone += self._tokens.of(kept.family)
            return False
        self._tokens.codes.use(code)
        request.user = self._account(kept.account, kept.stamp)
        request.scopes = kept.scope.split()
        request.code_challenge, request.code_challenge_method = kept.challenge, kept.method
        self._family = kept.family
        return request.user is not None

    def confirm_redirect_uri(self, client_id: str, code: str, redirect_uri: str, client: Client, request: Any) -> bool:
        kept = self._tokens.codes.find(code)
        return kept is not None and kept.redirect_uri == (redirect_uri or self.get_default_redirect_uri("", request))

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any) -> None:
        """It was used when it was looked at: one that fails the rest is no good either."""

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        client = self._clients.find(client_id)
        return client is not None and not client.secret

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        kept = self._tokens.codes.find(code)
        return kept.challenge if kept is not None else None

    def get_code_challenge_method(self, code: str, request: Any) -> str | None:
        kept = self._tokens.codes.find(code)
        return kept.method if kept is not None else None

    # Tokens.

    def validate_refresh_token(self, refresh_token: str, client: Client, request: Any) -> bool:
        token = self._tokens.find(refresh_token)
        if token is None or token.sort == "access" or token.client != client.client_id:
            return False
        if token.sort == "spent":  # it was stolen, or its thief has used it
            self.gone += self._tokens.of(token.family)
            return False
        request.user = self._account(token.account, token.stamp)
        self._family = token.family
        return request.user is not None and token.expires_at > self._tokens.clock()

    def get_original_scopes(self, refresh_token: str, request: Any) -> list[str]:
        token = self._tokens.find(refresh_token)
        return token.scope.split() if token is not None else []

    def rotate_refresh_token(self, request: Any) -> bool:
        return True

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        now, family = self._tokens.clock(), self._family or new_secret()
        access_ms, refresh_ms = self._lifetimes
        user, client = request.user, request.client.client_id
        scope = " ".join(request.scopes)

        def made(text: str, sort: Any, lifetime: int, words: str) -> Token:
            return Token(digest(text), sort, user.name, user.key_hash, client, words, family, now, now + lifetime)

        self.put.append(made(token["access_token"], "access", access_ms, scope))
        whole = scope
        used = self._tokens.find(request.refresh_token) if request.grant_type == "refresh_token" else None
        if used is not None:
            whole = used.scope  # less may be asked for once; the grant stays what it was
            if "refresh_token" in token:
                self.put.append(used._replace(sort="spent"))
        if "refresh_token" in token:
            self.put.append(made(token["refresh_token"], "refresh", refresh_ms, whole))

    # Helpers.

    def _shown(self, request: Any) -> tuple[str, str]:
        """Name and secret of the client, of the header before the body."""
        return self._basic or (request.client_id or "", request.client_secret or "")

    def _account(self, name: str, stamp: bytes) -> Account | None:
        account = self._tokens.registry.account(name)
        return account if account is not None and account.key_hash == stamp else None


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
