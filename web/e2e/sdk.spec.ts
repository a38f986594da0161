/**
 * Firebase's own browser library signs in at the stand-in for Firebase Auth, as an unmodified client of Google's would.
 * This client makes the same calls itself (net/), so this shows that it follows the same protocol.
 */
import { deleteApp, type FirebaseApp, initializeApp } from "@firebase/app";
import {
  type Auth,
  connectAuthEmulator,
  getMultiFactorResolver,
  inMemoryPersistence,
  initializeAuth,
  multiFactor,
  type MultiFactorError,
  signInWithEmailAndPassword,
  TotpMultiFactorGenerator,
  type User as SdkUser,
} from "@firebase/auth";
import { createAccount, createUnverified } from "./support/accounts";
import { system } from "./support/system";
import { expect, newUser, test as base, type User } from "./support/test";
import { AuthenticatorApp } from "./support/totp";

const test = base.extend<{ auth: () => Auth }>({
  /** Returns a new instance of the library, which knows nobody. */
  auth: async ({}, use) => {
    const apps: FirebaseApp[] = [];
    await use(() => {
      const app = initializeApp({ apiKey: "local", projectId: system().project }, `app ${apps.length}`);
      apps.push(app);
      const auth = initializeAuth(app, { persistence: inMemoryPersistence });
      connectAuthEmulator(auth, `http://${system().auth}`, { disableWarnings: true });
      return auth;
    });
    await Promise.all(apps.map(deleteApp));
  },
});

/** Signs in with the password alone, and returns what the library rejects with. */
async function refusal(work: Promise<unknown>): Promise<MultiFactorError> {
  const error: unknown = await work.then(
    () => new Error("it was not refused"),
    (err: unknown) => err,
  );
  return error as MultiFactorError;
}

/** Signs in with the password and a code. */
async function signIn(auth: Auth, { email, password }: User, code: string): Promise<SdkUser> {
  const asked = await refusal(signInWithEmailAndPassword(auth, email, password));
  expect(asked.code).toBe("auth/multi-factor-auth-required");
  const resolver = getMultiFactorResolver(auth, asked);
  expect(resolver.hints.map(({ factorId, displayName }) => [factorId, displayName])).toEqual([["totp", "My phone"]]);
  const assertion = TotpMultiFactorGenerator.assertionForSignIn(resolver.hints[0]?.uid ?? "", code);
  return (await resolver.resolveSignIn(assertion)).user;
}

test("the library adds an authenticator app, signs in with its codes, and removes it", async ({ auth }) => {
  const ann = newUser("Ann");
  await createAccount(ann);
  const first = auth();
  const { user } = await signInWithEmailAndPassword(first, ann.email, ann.password);
  const secret = await TotpMultiFactorGenerator.generateSecret(await multiFactor(user).getSession());
  expect([secret.codeLength, secret.codeIntervalSeconds, secret.hashingAlgorithm]).toEqual([6, 30, "SHA1"]);
  expect(Date.parse(secret.enrollmentCompletionDeadline)).toBeGreaterThan(Date.now());
  const app = new AuthenticatorApp(secret.secretKey);
  const assertion = TotpMultiFactorGenerator.assertionForEnrollment(secret, app.next());
  await multiFactor(user).enroll(assertion, "My phone");
  expect(multiFactor(user).enrolledFactors.map(({ factorId }) => factorId)).toEqual(["totp"]);
  expect((await user.getIdTokenResult()).signInSecondFactor).not.toBeNull();

  const second = auth();
  const wrong = await refusal(signIn(second, ann, "000000"));
  expect(wrong.code).toBe("auth/invalid-verification-code");
  const code = app.next();
  const again = await signIn(second, ann, code);
  expect((await again.getIdTokenResult()).signInSecondFactor).not.toBeNull();
  expect((await refusal(signIn(auth(), ann, code))).code).toBe("auth/invalid-verification-code"); // used

  const [factor] = multiFactor(again).enrolledFactors;
  if (!factor) throw new Error("the library does not list the factor");
  await multiFactor(again).unenroll(factor);
  const { user: plain } = await signInWithEmailAndPassword(auth(), ann.email, ann.password);
  expect((await plain.getIdTokenResult()).signInSecondFactor).toBeNull();
});

test("the server refuses to add an app to an account whose address is not verified", async ({ auth }) => {
  const eve = newUser("Eve");
  await createUnverified(eve);
  const { user } = await signInWithEmailAndPassword(auth(), eve.email, eve.password);
  const refused = await refusal(
    multiFactor(user)
      .getSession()
      .then((session) => TotpMultiFactorGenerator.generateSecret(session)),
  );
  expect(refused.code).toBe("auth/unverified-email");
});
