/** The second factor of the fake account. With ?factor=on, it has one. The code of its app is 123456. */
import type { FactorCalls } from "../../model/secondFactor";
import { ApiProblem } from "../../model/testing/problem";
import type { Outcome } from "../../model";
import { number, ok, params, refused, wait } from "./options";

const CODE = "123456";
const RECOVERY_CODE = "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF";

let right = "right";

export const factor = {
  on: params.get("factor") === "on",
  codes: params.get("factor") === "on" ? number("codes", 7) : 0,
};

/** Checks what a user proves with that the account is theirs. */
export async function proof(password: string, code?: string): Promise<Outcome> {
  await wait(number("latency", 400));
  if (password !== right) return refused("wrong_password", "Wrong.", { password: "Wrong." });
  if (!factor.on) return ok(undefined);
  if (code === undefined) return refused("code_needed", "");
  return code === CODE ? ok(undefined) : refused("code_wrong", "");
}

/** Changes the password, which is "right" at first. */
export function changePassword(chosen: string): void {
  if (chosen.includes("common")) throw new ApiProblem(422, "password_common", "", { fields: { password: "" } });
  right = chosen;
}

/** Makes other recovery codes. */
export function recoveryCodes(): readonly string[] {
  factor.codes = 10;
  return Array.from({ length: 10 }, (_, i) => RECOVERY_CODE.replaceAll("A", String.fromCharCode(71 + i)));
}

export function removeFactor(): void {
  factor.on = false;
  factor.codes = 0;
}

export async function recover(body: unknown): Promise<void> {
  await wait(number("latency", 200));
  const { password, code } = body as { readonly password: string; readonly code: string };
  if (password !== right) throw new ApiProblem(403, "wrong_password", "");
  if (code !== RECOVERY_CODE) throw new ApiProblem(422, "recovery_code_wrong", "");
  removeFactor();
}

export const factorCalls: FactorCalls = {
  async start() {
    await wait(number("latency", 200));
    return { secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", session: "session" };
  },
  async finish(_factor, code) {
    await wait(number("latency", 200));
    if (params.get("factor") === "late") throw new ApiProblem(400, "code_late", "");
    if (code !== CODE) throw new ApiProblem(400, "code_wrong", "");
    factor.on = true;
    return null;
  },
};
