import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DemoSettings } from './settings.ts'

/** Makes the files of the private nginx that are missing; what is there belongs to the agent and stays. */
export function makeNginxFiles({ paths }: DemoSettings): void {
  for (const folder of ['conf.d', 'logs', 'temp']) mkdirSync(join(paths.nginx, folder), { recursive: true })
  const conf = join(paths.nginx, 'nginx.conf')
  if (!existsSync(conf)) writeFileSync(conf, nginxConf(paths.nginx))
}

// Workers of an nginx that root starts run as the same user: the sample site may lie below a home folder.
const userLine = () => (process.getuid?.() === 0 ? 'user root;\n' : '')

const nginxConf = (prefix: string) => `${userLine()}worker_processes 2;
pid ${prefix}/nginx.pid;
error_log ${prefix}/logs/error.log notice;

events {
  worker_connections 1024;
}

http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log ${prefix}/logs/access.log combined;
  client_body_temp_path ${prefix}/temp/body;
  proxy_temp_path ${prefix}/temp/proxy;
  fastcgi_temp_path ${prefix}/temp/fastcgi;
  uwsgi_temp_path ${prefix}/temp/uwsgi;
  scgi_temp_path ${prefix}/temp/scgi;
  include ${prefix}/conf.d/*.conf;
}
`

/** Writes the page of the sample site, once; afterwards it is the reader's to change. */
export function makeSamplePage({ paths }: DemoSettings): void {
  mkdirSync(paths.www, { recursive: true })
  const page = join(paths.www, 'index.html')
  if (!existsSync(page)) writeFileSync(page, SAMPLE_PAGE)
}

const SAMPLE_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Served by NxMesh</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
  code { background: #8882; padding: .1em .3em; border-radius: .2em }
</style>
<h1>It serves.</h1>
<p>This page comes from a private nginx. Its configuration was created through the REST API of the NxMesh master, rendered and
tested by an agent, swapped in, and proved to be served.</p>
<p>Change it: the virtual host is called <code>welcome</code>, this file is <code>www/index.html</code> in the demo's folder.</p>
</html>
`
