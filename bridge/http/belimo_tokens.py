"""OAuth2 tokens and codes of the Belimo-compatible API: in memory as hashes, and in the ledger before anybody is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time
from typing import Final, Generic, NamedTuple, TypeVar

from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.core.secrets import digest, new_secret
from bridge.store.tokens import Token, TokenStore

PER_ACCOUNT: Final = 1_000
"""Tokens of one account, spent ones included; the oldest go first. A script that logs in for each request loses its own."""
REMEMBERED_MS: Final = 7 * 86_400_000
"""How long an expired token is told apart from one that never was: showing it is no guess at a key."""
SWEEP_MS: Final = 600_000
CODES: Final = 1_000
CODE_MS: Final = 60_000
"""Between the login page and the client's exchange."""


class Tokens:
    """All tokens of one ledger. `clock` gives ms."""

    def __init__(
        self, registry: Registry, store: TokenStore | None = None, clock: Callable[[], int] = lambda: int(time() * 1000)
    ) -> None:
        self.registry = registry
        self.clock = clock
        self.codes = Codes(clock)
        self._store = store
        self._tokens: dict[bytes, Token] = {}
        self._accounts: dict[str, dict[bytes, None]] = {}
        self._swept_at = 0

    async def restore(self) -> None:
        """Take up those of the ledger. Raises StoreError."""
        if self._store is not None:
            self._take(await self._store.load())

    def find(self, text: str) -> Token | None:
        """The token, also when it has expired; None when it never was, or is long forgotten."""
        return self._tokens.get(digest(text))

    def good(self, token: Token) -> Principal | None:
        """Whose it is, with the account's present grants; None when it has expired or its account is no more the same."""
        if token.expires_at <= self.clock():
            return None
        account = self.registry.account(token.account)
        if account is None or account.key_hash != token.stamp:
            return None
        return self.registry.find("account", account.name)

    def of(self, family: str) -> list[Token]:
        """The tokens of one family."""
        return [token for token in self._tokens.values() if token.family == family]

    async def change(self, put: Iterable[Token], remove: Iterable[Token] = ()) -> None:
        """Keep some and forget others; at once for who asks from now on, and on the disk when it returns. Raises StoreError, then
        everything is as before."""
        put, remove = list(put), [*remove, *self._stale()]
        before = [self._tokens[token.digest] for token in put if token.digest in self._tokens]
        self._drop(remove)
        self._take(put)
        crowded = self._crowded({token.account for token in put})
        self._drop(crowded)
        if self._store is None:
            return
        gone = [token.digest for token in (*remove, *crowded)]
        try:
            await self._store.change([token for token in put if token.digest in self._tokens], gone)
        except BaseException:
            self._drop(put)
            self._take([*before, *remove, *crowded])
            raise

    def _take(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            self._tokens[token.digest] = token
            self._accounts.setdefault(token.account, {})[token.digest] = None

    def _drop(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            self._tokens.pop(token.digest, None)
            of_account = self._accounts.get(token.account, {})
            of_account.pop(token.digest, None)
            if not of_account:
                self._accounts.pop(token.account, None)

    def _crowded(self, accounts: Iterable[str]) -> list[Token]:
        found = []
        for account in accounts:
            digests = list(self._accounts.get(account, ()))
            found += [self._tokens[each] for each in digests[: max(0, len(digests) - PER_ACCOUNT)]]
        return found

    def _stale(self) -> list[Token]:
        now = self.clock()
        if now - self._swept_at < SWEEP_MS:
            return []
        self._swept_at = now
        return [token for token in self._tokens.values() if token.expires_at + REMEMBERED_MS < now]


class Code(NamedTuple):
    """What an authorization code stands for. `family` is that of the tokens it opens."""

    account: str
    stamp: bytes
    client: str
    redirect_uri: str
    scope: str
    challenge: str | None
    method: str | None
    family: str
    expires_at: int
    used: bool = False


class Codes:
    """Authorization codes: a minute old at most, each good for once, and gone with the process."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._codes: dict[bytes, Code] = {}

    def put(self, text: str, code: Code) -> None:
        """Remember one."""
        while len(self._codes) >= CODES:
            del self._codes[next(iter(self._codes))]
        self._codes[digest(text)] = code

    def find(self, text: str) -> Code | None:
        """The code, also when it was used; None when it is too old or never was."""
        code = self._codes.get(digest(text))
        return code if code is not None and code.expires_at > self._clock() else None

    def use(self, text: str) -> None:
        """It is good no more."""
        code = self._codes.get(digest(text))
        if code is not None:
            self._codes[digest(text)] = code._replace(used=True)


T = TypeVar("T")


class Offers(Generic[T]):
    """What who knows a random name may have for a while, such as a download; of many the oldest are forgotten first."""

    def __init__(self, clock: Callable[[], int], most: int) -> None:
        self._clock = clock
        self._most = most
        self._kept: dict[bytes, tuple[int, T]] = {}

    def put(self, value: T, until: int) -> str:
        """Its name."""
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        name = new_secret()
        self._kept[digest(name)] = until, value
        return name

    def find(self, name: str) -> T | None:
        """What was offered under that name, while it holds."""
        until, value = self._kept.get(digest(name), (0, None))
        return value if until > self._clock() else None
