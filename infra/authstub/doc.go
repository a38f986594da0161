// Package authstub stands in for Firebase Auth on one machine: an HTTP handler
// that speaks as much of Identity Toolkit and Secure Token as the unmodified
// Admin SDK (with FIREBASE_AUTH_EMULATOR_HOST) and the unmodified browser SDK
// (with connectAuthEmulator) ask of it. Accounts live in one bbolt file and
// survive a restart.
//
// It is for one machine, and trusts it: whoever says "Bearer owner" is the
// administrator, and ID tokens carry no signature, as with the official
// emulator. Never let it be reached from a network.
//
// What it does: accounts with e-mail address and password (argon2id), sign-in,
// token refresh and its end, disabling, custom claims, revoking, deleting,
// listing, and password resets whose link is given to [Options.Mail] and can be
// read at GET /emulator/v1/projects/P/oobCodes. It does nothing else: no phone
// numbers, second factors, tenants, other providers, anonymous accounts, e-mail
// links, session cookies or custom tokens; asking for one is refused with
// OPERATION_NOT_ALLOWED.
//
// Differences from the official emulator (firebase emulators:start --only auth):
//
//   - It never tells whether an address has an account (e-mail enumeration
//     protection), which the emulator does until it is configured otherwise.
//   - It keeps accounts on disk, with real password hashes, which it shows to nobody.
//   - Public sign-up (accounts:signUp) and deleting one's own account through the
//     API key are refused with ADMIN_ONLY_OPERATION, since the identity
//     configuration switches both off in production.
//   - Ten wrong passwords for one address within five minutes lock that
//     address for the rest of them (TOO_MANY_ATTEMPTS_TRY_LATER), as production does in its own way.
//   - USER_DISABLED is told only to who knows the password.
//   - Changing one's own password or address needs a sign-in within the last five minutes
//     (CREDENTIAL_TOO_OLD_LOGIN_AGAIN), as in production.
//   - Revoking and changing a password end every refresh token given out before, to the
//     nanosecond; the emulator compares seconds, so that one of the same second lives on.
//   - A reset code works once and for one hour. Its link leads to /reset on the same
//     host, the client's own page, as the action URL of production does; the
//     emulator has a page of its own that takes the new password from the address.
//   - It knows one project. Another one's name is answered with PROJECT_NOT_FOUND.
//   - Other origins' pages are answered (CORS) only when they come from a loopback
//     address; the emulator answers all.
package authstub
