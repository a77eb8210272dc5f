/** What a page of ours may use of a browser: nothing. */
const FEATURES = [
  'accelerometer',
  'autoplay',
  'bluetooth',
  'browsing-topics',
  'camera',
  'clipboard-read',
  'clipboard-write',
  'display-capture',
  'encrypted-media',
  'fullscreen',
  'gamepad',
  'geolocation',
  'gyroscope',
  'hid',
  'idle-detection',
  'local-fonts',
  'magnetometer',
  'microphone',
  'midi',
  'payment',
  'picture-in-picture',
  'publickey-credentials-create',
  'publickey-credentials-get',
  'screen-wake-lock',
  'serial',
  'storage-access',
  'usb',
  'web-share',
  'window-management',
  'xr-spatial-tracking',
]

/**
 * On every answer, whichever door gives it: nothing may be cached, framed, sniffed, run or read by the page of another site.
 * There is no Access-Control header among them: no other origin may ask from a browser.
 */
const ALWAYS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'content-type': 'application/json; charset=utf-8',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': FEATURES.map(one => `${one}=()`).join(', '),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

// Made once: a Response copies them faster than it reads a plain object.
const PLAIN = new Headers(ALWAYS)
// RFC 6797 section 7.2: only over TLS.
const TLS = new Headers({ ...ALWAYS, 'strict-transport-security': 'max-age=31536000' })

/** The headers that every answer begins with; for `new Response`, which copies them. Never changed. */
export const securityHeaders = (tls: boolean): Headers => (tls ? TLS : PLAIN)
