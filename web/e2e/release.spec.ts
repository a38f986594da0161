// A deployment of another build while pages of the earlier one are open: without the files of the earlier build, and
// with them, as the image and `go run ./infra/local` serve them. Other cases are in view/outdated.spec.ts.
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, type Plugin } from "vite";
import { createAccount } from "./support/accounts";
import { composer, en, expectSignedIn, fillSignIn, open } from "./support/steps";
import { launch, type Launched } from "./support/system";
import { expect, newUser, test } from "./support/test";

const root = join(import.meta.dirname, "..");

test("a sign-in on a page of an earlier build succeeds, with or without the earlier build's files", async ({
  visitor,
  signedIn,
}) => {
  test.setTimeout(300_000); // it builds a client, which takes minutes on a busy machine
  const folder = await mkdtemp(join(tmpdir(), "phoenix-release-"));
  const [data, bare, carrying] = ["data", "bare", "carrying"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  let running: Launched | null = await launch({ data });
  const of = running.system;
  const deploy = async (client: string): Promise<void> => {
    const before = running;
    running = null;
    await before?.end();
    running = await launch({ data, port: new URL(of.url).port, client });
  };
  try {
    const [ann, ben] = [newUser("Ann"), newUser("Ben")];
    for (const user of [ann, ben]) await createAccount(user, of);
    const options = { baseURL: of.url, serviceWorkers: "block" } as const;
    // One person has the form open, and another one writes.
    const late = await visitor("Ann", options);
    await late.page.goto("/signin");
    const writing = await signedIn(ben, { of, options });
    await open(writing.page, ann);
    await composer(writing.page, ann).fill("Half a thought");

    // One more line, so that the names of all files differ.
    const more: Plugin = {
      name: "next-release",
      transform: (code, id) => (id.endsWith("/src/main.ts") ? `${code}\nconsole.debug("next release");` : null),
    };
    await build({ root, logLevel: "error", plugins: [more], build: { outDir: bare } });
    await cp(bare, carrying, { recursive: true });
    await cp(join(root, "dist", "assets"), join(carrying, "assets"), { recursive: true, force: false });

    await deploy(carrying);
    const script = late.page.locator("script[type=module]");
    const old = await script.getAttribute("src");
    await fillSignIn(late.page, ann, { here: true });
    await expectSignedIn(late.page);
    await expect(script).toHaveAttribute("src", old ?? "");

    await deploy(bare);
    const later = await visitor("Ann", options);
    await later.page.goto("/signin"); // the new build
    await deploy(join(root, "dist"));
    const newer = await later.page.locator("script[type=module]").getAttribute("src");
    await fillSignIn(later.page, ann, { here: true });
    await expectSignedIn(later.page);
    await expect(later.page.locator("script[type=module]")).not.toHaveAttribute("src", newer ?? "");

    await deploy(bare);
    await writing.page.getByRole("link", { name: en.nav.people, exact: true }).click();
    await expect(writing.page.getByRole("searchbox", { name: en.people.search })).toBeVisible();
    await expect(composer(writing.page, ann)).toHaveValue("Half a thought");
  } finally {
    await running?.end();
    await rm(folder, { recursive: true, force: true });
  }
});
