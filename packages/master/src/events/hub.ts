import { ApiError, type EventsCloseReason, LIMITS } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Access } from '../access/caller.ts'
import type { Standing, Standings } from '../access/standing.ts'
import type { EventSocket } from './event-socket.ts'
import { EVENTS_LIMITS } from './events-limits.ts'
import { asksFor, type EventPlace, type Happening, permitsLess, placeKey } from './events-rules.ts'
import type { Readers } from './readers.ts'
import { maySee, requireSubscription } from './scopes.ts'

export interface HubDeps {
  readonly readers: Readers
  readonly access: Access
  readonly standings: Pick<Standings, 'again'>
  readonly log: Pick<Logger, 'error'>
  readonly now: () => Date
  /** A clock that nobody sets. */
  readonly now_ms: () => number
}

/** Brings what happens to those who may see it, and ends the sockets of those who may not read any more. */
export interface Hub {
  /** One batch of one topic. Resolves when it is on its way; never throws. */
  deliver(happenings: readonly Happening[]): Promise<void>
  /** Takes the first or the next standing of a socket, or ends it. False: it has ended. */
  take(socket: EventSocket, standing: Standing): boolean
  /** How often something was forgotten: who asked before it must ask again. */
  forgets(): number
  forget(ids: readonly string[] | 'all'): void
  end(socket: EventSocket, reason: EventsCloseReason): void
  endAll(reason: EventsCloseReason): void
  /** Looks at everyone: logins and tokens that ran out, silence, readers that are stuck, standings that are due. */
  sweep(): void
}

export function makeHub(deps: HubDeps): Hub {
  const { readers, access, now_ms } = deps
  let forgets = 0
  /** Raised when somebody may see more than before, or has to be asked for again. */
  let changes = 0
  let line: Promise<void> = Promise.resolve()

  const end = (socket: EventSocket, reason: EventsCloseReason) => {
    readers.silence(socket)
    socket.close(reason, now_ms())
  }
  const hasExpired = ({ ends_ms }: Standing) => ends_ms <= deps.now().getTime()

  const take = (socket: EventSocket, next: Standing): boolean => {
    const before = socket.standing
    if (before && permitsLess(before.caller.grants, next.caller.grants)) {
      end(socket, 'revoked')
      return false
    }
    if (before && permitsLess(next.caller.grants, before.caller.grants)) changes += 1
    socket.standing = next
    return true
  }

  /** Asks again who reads and what of its subscriptions still holds. A failure ends it: what cannot be checked is not shown. */
  const check = async (socket: EventSocket): Promise<void> => {
    const { standing, forgets: forgotten_before } = socket
    if (!standing || socket.closed) return
    const began_ms = now_ms()
    try {
      const next = await inTime(deps.standings.again(standing))
      if (socket.closed) return
      // A login in the meantime is newer than this.
      if (socket.standing !== standing) return
      if (!next) return end(socket, hasExpired(standing) ? 'expired' : 'revoked')
      if (!take(socket, next)) return
      await endSubscriptions(socket, next)
      if (socket.forgets === forgotten_before) socket.suspect = false
      socket.checked_ms = began_ms
    } catch (err) {
      if (socket.closed) return
      deps.log.error({ err }, 'A reader of events could not be checked')
      end(socket, 'try_later')
    }
  }

  const endSubscriptions = async (socket: EventSocket, { caller }: Standing) => {
    for (const [id, one] of socket.subscriptions) {
      try {
        await requireSubscription(access, caller, one)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        if (readers.unsubscribe(socket, id))
          socket.say({ type: 'ended', id, error: { code: error.code, message: error.message } }, now_ms())
      }
    }
  }

  const checkAll = async (sockets: readonly EventSocket[]) => {
    for (let from = 0; from < sockets.length; from += EVENTS_LIMITS.checks_at_once)
      await Promise.all(sockets.slice(from, from + EVENTS_LIMITS.checks_at_once).map(check))
  }
  const suspect = (socket: EventSocket) => {
    socket.suspect = true
    changes += 1
  }
  const checkSuspects = async () => {
    const at_ms = now_ms()
    for (const socket of readers.all) if (isOld(socket, at_ms)) suspect(socket)
    for (;;) {
      const suspects = [...readers.all].filter(one => one.suspect && !one.closed && one.standing)
      if (suspects.length === 0) return
      await checkAll(suspects)
    }
  }

  /** By reader, the places of these happenings that it may see. */
  const whoMaySee = async (happenings: readonly Happening[]) => {
    const places = new Map(happenings.map(one => [placeKey(one.place), one.place]))
    const [first] = happenings
    if (!first) return []
    const topic = first.topic
    const ask = async (socket: EventSocket) => {
      const seen = new Set<string>()
      const caller = socket.standing?.caller
      for (const [key, place] of caller ? places : [])
        if (caller && asks(socket, first, place) && (await maySee(access, caller, topic, place)))
          seen.add(key)
      return { socket, seen }
    }
    return await Promise.all([...readers.of(topic)].map(ask))
  }

  const deliverNow = async (happenings: readonly Happening[]) => {
    for (;;) {
      await checkSuspects()
      const before = changes
      const verdicts = await whoMaySee(happenings)
      // What somebody may see has changed while it was asked.
      if (changes !== before) continue
      // From here on nothing waits, so that nothing can come in between.
      const at_ms = now_ms()
      for (const { socket, seen } of verdicts) {
        if (socket.standing && hasExpired(socket.standing)) end(socket, 'expired')
        for (const one of happenings)
          if (seen.has(placeKey(one.place)) && asks(socket, one, one.place)) socket.tell(one.tail, at_ms)
      }
      return
    }
  }

  const look = (socket: EventSocket, at_ms: number): boolean => {
    const { standing, closing_ms } = socket
    if (closing_ms !== null) {
      if (at_ms - closing_ms >= EVENTS_LIMITS.close_grace_ms) socket.terminate(at_ms)
      return false
    }
    if (at_ms - socket.heard_ms >= (standing ? LIMITS.events_silence_ms : LIMITS.events_login_ms))
      end(socket, 'silence')
    else if (standing && hasExpired(standing)) end(socket, 'expired')
    else if (socket.isStuck(at_ms)) end(socket, 'too_slow')
    else if (at_ms - socket.pinged_ms >= LIMITS.events_ping_ms) socket.ping(at_ms)
    return standing !== null && !socket.closed && at_ms - socket.checked_ms >= EVENTS_LIMITS.check_after_ms
  }

  return {
    take,
    end,
    forgets: () => forgets,
    deliver(happenings) {
      const done = line.then(() => deliverNow(happenings))
      line = done.catch((err: unknown) => {
        // Nobody knows what they missed: they come back and read it.
        deps.log.error({ err }, 'Events could not be delivered')
        for (const one of happenings) for (const socket of readers.of(one.topic)) end(socket, 'try_later')
      })
      return line
    },
    forget(ids) {
      forgets += 1
      let any = false
      for (const socket of readers.all) {
        const { standing } = socket
        if (!standing || !concerns(ids, standing)) continue
        suspect(socket)
        socket.forgets += 1
        any = true
      }
      if (any) line = line.then(checkSuspects)
    },
    endAll(reason) {
      for (const socket of readers.all) end(socket, reason)
    },
    sweep() {
      const at_ms = now_ms()
      const due = [...readers.all].filter(socket => look(socket, at_ms) && !socket.checking)
      // Whom the check before did not reach in time: shown nothing until it does.
      if (due.some(socket => isOld(socket, at_ms))) line = line.then(checkSuspects)
      for (const socket of due) socket.checking = true
      void checkAll(due).finally(() => {
        for (const socket of due) socket.checking = false
      })
    },
  }
}

const asks = (socket: EventSocket, { topic }: Pick<Happening, 'topic'>, place: EventPlace): boolean => {
  for (const one of socket.subscriptions.values()) if (asksFor(one, topic, place)) return true
  return false
}

const isOld = (socket: EventSocket, at_ms: number): boolean =>
  socket.standing !== null && !socket.closed && at_ms - socket.checked_ms >= LIMITS.events_check_ms

const concerns = (ids: readonly string[] | 'all', { credential_id, caller }: Standing): boolean =>
  ids === 'all' ||
  ids.includes(credential_id) ||
  (caller.principal.id !== null && ids.includes(caller.principal.id))

/** The database may hang; whoever cannot be checked in time is not shown anything. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('The check took too long')), EVENTS_LIMITS.check_wait_ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
