/** A session key; `session_key` is base64url of 32 bytes. */
export interface SessionKey {
  readonly key_id: string
  readonly session_key: string
}

/**
 * What the agent keeps of its session keys. `candidate`: offered and kept, the master has not said yet that it counts.
 * `previous`: the one before, until a connection with the new one is there.
 */
export interface KeptKeys extends SessionKey {
  readonly other_key: (SessionKey & { readonly role: 'candidate' | 'previous' }) | null
}

/** Which key signs the next connection, and what is kept durably. Nothing is answered before it is kept. */
export interface SessionKeys {
  next(): SessionKey
  /** The master did not take this key. True when another one has not been tried since. */
  refused(key_id: string): boolean
  /** Keeps an offered key beside the one in use; false when it is none. @throws when it cannot be kept */
  offered(key: SessionKey): boolean
  /**
   * The master says which key counts. `used`: the one that signed this connection. True when this changed what is kept.
   * @throws when it cannot be kept
   */
  promoted(key_id: string, used: string): boolean
}

const KEY_BYTES = 32

/** `save` makes them durable before it returns, or throws. */
export function makeSessionKeys(first: KeptKeys, save: (keys: KeptKeys) => void): SessionKeys {
  let kept = first
  let trying: SessionKey = kept
  const failed = new Set<string>()

  const keep = (keys: KeptKeys) => {
    save(keys)
    kept = keys
  }
  const only = ({ key_id, session_key }: SessionKey): SessionKey => ({ key_id, session_key })

  return {
    next: () => trying,

    refused(key_id) {
      const { other_key } = kept
      if (other_key === null) return false
      failed.add(key_id)
      trying = key_id === other_key.key_id ? kept : other_key
      const is_untried = !failed.has(trying.key_id)
      // Both were tried: the next round begins anew.
      if (!is_untried) failed.clear()
      return is_untried
    },

    offered(key) {
      if (key.key_id === kept.key_id || key.key_id === kept.other_key?.key_id) return true
      if (Buffer.from(key.session_key, 'base64url').byteLength !== KEY_BYTES) return false
      keep({ ...only(kept), other_key: { ...only(key), role: 'candidate' } })
      return true
    },

    promoted(key_id, used) {
      const { other_key } = kept
      let now = kept
      if (key_id === other_key?.key_id)
        now = { ...only(other_key), other_key: { ...only(kept), role: 'previous' } }
      if (key_id !== now.key_id) return false
      // What the master took and calls its key needs no older one beside it; whichever of the two had failed.
      const { other_key: beside } = now
      if (beside?.role === 'previous' && used === key_id) now = { ...now, other_key: null }
      const has_changed = now !== kept
      if (has_changed) keep({ ...only(now), other_key: now.other_key })
      failed.clear()
      trying = kept
      return has_changed
    },
  }
}
