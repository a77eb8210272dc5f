import type { ServerWebSocket, WebSocketHandler } from 'bun'
import type { EventsDoor } from './events/events.ts'

/**
 * A server has one handler for all its WebSockets: the channel's, whose bounds hold for all of them, with a look at whose
 * socket it is in front.
 */
export function bothSockets<Data, EventsData>(
  channel: WebSocketHandler<Data>,
  { websocket: events, owns }: EventsDoor<EventsData>,
): WebSocketHandler<Data | EventsData> {
  type Socket = ServerWebSocket<Data | EventsData>
  const mine = (ws: Socket): ws is ServerWebSocket<EventsData> => owns(ws.data)
  const theirs = (ws: Socket) => ws as ServerWebSocket<Data>
  return {
    ...(channel as object),
    open: ws => (mine(ws) ? events.open?.(ws) : channel.open?.(theirs(ws))),
    message: (ws, frame) => (mine(ws) ? events.message?.(ws, frame) : channel.message?.(theirs(ws), frame)),
    drain: ws => (mine(ws) ? events.drain?.(ws) : channel.drain?.(theirs(ws))),
    pong: (ws, bytes) => (mine(ws) ? events.pong?.(ws, bytes) : channel.pong?.(theirs(ws), bytes)),
    close: (ws, code, reason) =>
      mine(ws) ? events.close?.(ws, code, reason) : channel.close?.(theirs(ws), code, reason),
  }
}
