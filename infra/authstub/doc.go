// Package authstub stands in for Firebase Auth on one machine. It is an HTTP handler that implements the parts of
// Identity Toolkit and Secure Token that the unmodified Admin SDK (with FIREBASE_AUTH_EMULATOR_HOST) and the
// unmodified browser SDK (with connectAuthEmulator) call. Accounts are stored in one bbolt file and survive a
// restart.
//
// The package trusts the machine that it runs on: a caller that sends "Bearer owner" is the administrator, and ID
// tokens carry no signature, as with the official emulator. Never make it reachable from a network.
//
// It supports accounts with an e-mail address and a password (argon2id), sign-in, token refresh and revocation,
// disabling, custom claims, deletion, listing, and password resets. The link of a reset is passed to [Options.Mail]
// and can be read at GET /emulator/v1/projects/P/oobCodes. It does not support phone numbers, second factors,
// tenants, other providers, anonymous accounts, e-mail links, session cookies or custom tokens, and answers requests
// for them with OPERATION_NOT_ALLOWED.
//
// Differences from the official emulator (firebase emulators:start --only auth):
//
//   - It never reveals whether an address has an account (e-mail enumeration protection). The emulator does until it
//     is configured otherwise.
//   - It keeps accounts on disk with real password hashes, which no answer contains.
//   - It refuses public sign-up (accounts:signUp) and the deletion of one's own account through the API key with
//     ADMIN_ONLY_OPERATION, because production's identity configuration switches both off.
//   - Ten wrong passwords for one address within five minutes lock that address until the five minutes are over
//     (TOO_MANY_ATTEMPTS_TRY_LATER). Production has a similar lock.
//   - It answers USER_DISABLED only to callers that know the password.
//   - Changing one's own password or address requires a sign-in within the last five minutes
//     (CREDENTIAL_TOO_OLD_LOGIN_AGAIN), as in production.
//   - Revoking tokens and changing a password end every refresh token that was issued before, to the nanosecond. The
//     emulator compares seconds, so a token from the same second survives.
//   - A reset code works once and for one hour. Its link leads to the client's own page at /reset on the same host, as
//     production's action URL does. The emulator has a page that reads the new password from the link.
//   - It knows one project and answers requests for another with PROJECT_NOT_FOUND.
//   - It allows cross-origin requests (CORS) only from pages on a loopback address. The emulator allows all.
package authstub
