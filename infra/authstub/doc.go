// Package authstub stands in for Firebase Auth on one machine. It is an HTTP handler that implements the parts of
// Identity Toolkit and Secure Token that the unmodified Admin SDK (with FIREBASE_AUTH_EMULATOR_HOST) and browsers
// (web/src/net/identityToolkit.ts) call. Accounts are stored in one bbolt file and survive a restart.
//
// The package trusts the machine that it runs on: a caller that sends "Bearer owner" is the administrator, and ID
// tokens carry no signature, as with the official emulator. Never make it reachable from a network.
//
// It supports accounts with an e-mail address and a password (argon2id), sign-in, token refresh and revocation,
// disabling, custom claims, deletion, listing, password resets, the verification and change of an address, and
// authenticator apps (TOTP) as a second factor, one for an account. The link in a mail is passed to [Options.Mail] and
// can be read at GET /emulator/v1/projects/P/oobCodes. It does not support phone numbers, tenants, other providers,
// anonymous accounts, e-mail links or session cookies, and answers requests for them with OPERATION_NOT_ALLOWED.
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
//   - A user cannot change the address with accounts:update (OPERATION_NOT_ALLOWED), only with a code in a mail to the
//     new address, as in production with e-mail enumeration protection. A change that asks for an address that has an
//     account is answered like any other, but no mail is sent. The emulator accepts the first, and answers the second
//     with EMAIL_EXISTS.
//   - A change of the address by a code ends all sign-ins, and mails a code to the old address that undoes the change
//     (RECOVER_EMAIL), as in production. In the emulator the sign-ins go on, and only a change without a code makes
//     one.
//   - An account causes at most one mail a minute, and five an hour, that verifies an address
//     (TOO_MANY_ATTEMPTS_TRY_LATER). Production has limits that Google does not publish. Resets are not limited.
//   - Passwords have at least 8 characters (PASSWORD_DOES_NOT_MEET_REQUIREMENTS), as production's policy demands. The
//     emulator accepts 6.
//   - auth_time is the time of the sign-in to which a token belongs, as in production. The emulator puts the time of
//     the account's last sign-in into all tokens that it issues, so sign-ins cannot be told apart there.
//   - Revoking tokens and changing a password end every refresh token that was issued before, to the nanosecond. The
//     emulator compares seconds, so a token from the same second survives.
//   - It has second factors, with the calls of production's version 2 (mfaEnrollment, mfaSignIn). The emulator has only
//     text messages. As production does, it demands a verified address and a recent sign-in, ends all sign-ins when a
//     factor is enrolled or removed by its owner, and accepts each code once and within 30 s before and after its time.
//     Ten wrong codes within five minutes lock the account's factor until the five minutes are over. Google publishes
//     neither its own limit nor the auth_time of the sign-in that follows an enrollment, which is its time here.
//     [Options.Code] gets a code whenever an enrollment begins or a sign-in asks for one, so that one machine needs no
//     authenticator app. It is the present code, or the next one if that was used.
//   - It answers requests only at its own host:port ([Options.Hosts]), with 421 elsewhere.
//   - A code works once and for one hour. Its link leads to the client's own page at /mail on the same host, as
//     production's action URL does. The emulator has a page that reads the new password from the link.
//   - It knows one project and answers requests for another with PROJECT_NOT_FOUND.
//   - It allows cross-origin requests (CORS) only from pages on a loopback address, and only of the calls that the
//     browser SDK makes. The emulator allows all.
package authstub
