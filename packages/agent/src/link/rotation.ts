import type { AgentMessage, MasterMessageOf } from '@nxmesh/contract/channel/messages'
import { proveKey } from '@nxmesh/contract/channel/signing'
import { KEY_ROTATION_PROTOCOL } from '@nxmesh/contract/channel/version'
import { faultPoint } from '../faults.ts'
import type { Log } from '../log.ts'
import type { Session } from './connection.ts'
import type { SessionKeys } from './session-keys.ts'

export type KeyMessage = MasterMessageOf<'key_offer'> | MasterMessageOf<'key_promoted'>

export const isKeyMessage = (message: { type: string }): message is KeyMessage =>
  message.type === 'key_offer' || message.type === 'key_promoted'

/** The connection over which the master speaks of keys. */
export interface KeyConnection {
  readonly agent_id: string
  /** The key that signed it. */
  readonly key_id: string
  readonly session: Session
  send(message: AgentMessage): void
  close(reason: string): void
}

/** What the master says of this agent's session keys, by the version that the greeting named. */
export function takeKeyMessage(keys: SessionKeys, message: KeyMessage, over: KeyConnection, log: Log): void {
  if (over.session.protocol < KEY_ROTATION_PROTOCOL) {
    over.close('the master sent a message that this protocol version does not have')
    return
  }
  try {
    if (message.type === 'key_offer') takeOffer(keys, message, over, log)
    else if (keys.promoted(message.key_id, over.key_id)) faultPoint('key_promoted')
  } catch (error) {
    // Unanswered: the keys that are kept go on, and the master says it again at the next connection.
    const fields = { type: message.type, key_id: message.key_id, error: String(error) }
    log('error', 'A change of the session key could not be kept', fields)
    return
  }
}

/** Keeps an offered key, and then proves that it does. */
function takeOffer(
  keys: SessionKeys,
  { key_id, session_key }: MasterMessageOf<'key_offer'>,
  { agent_id, session, send }: KeyConnection,
  log: Log,
): void {
  if (!keys.offered({ key_id, session_key })) {
    log('error', 'The session key that the master offers is none', { key_id })
    return
  }
  faultPoint('key_stored')
  const { server_nonce } = session
  const proof = proveKey(Buffer.from(session_key, 'base64url'), { agent_id, key_id, server_nonce })
  send({ type: 'key_accepted', key_id, proof })
  faultPoint('key_accepted')
}
