import { addressKey } from '../http/token-buckets.ts'
import { type Applicant, makeTurns } from './turns.ts'

// OWASP Password Storage Cheat Sheet, second argon2id profile: 19 MiB, two passes.
const PROFILE = { algorithm: 'argon2id', memoryCost: 19_456, timeCost: 2 } as const
/** The hash of a random text that nobody knows: what an unknown e-mail is checked against. */
const DECOY =
  '$argon2id$v=19$m=19456,t=2,p=1$Vug7BIBpCNJWXJcclV1L921NVONRvQhx7MHzsswSdns$ycLSozYYBDI80V1TDRHBgGtq2GmCoYBoUjFuDx1Pyvg'

/** Those who proved something already: by a token, a link, a session. */
export const known = ({ ip_address }: { readonly ip_address: string | null }): Applicant => ({
  sender: addressKey(ip_address),
  trust: 'known',
})

/** argon2id: each takes 19 MiB and a core for some 20 ms. Both throw what `Turns` throws. */
export interface Passwords {
  hash(password: string, applicant: Applicant): Promise<string>
  /** With null (there is no such user) it works as long as with a hash, and says no. */
  matches(password: string, password_hash: string | null, applicant: Applicant): Promise<boolean>
}

export function makePasswords(): Passwords {
  const turns = makeTurns()
  return {
    hash: (password, applicant) => turns.run(applicant, () => Bun.password.hash(password, PROFILE)),
    matches: (password, password_hash, applicant) =>
      turns.run(
        applicant,
        async () => (await Bun.password.verify(password, password_hash ?? DECOY)) && password_hash !== null,
      ),
  }
}
