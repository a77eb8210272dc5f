/** The built-in template `default`: a standard reverse proxy, with folders of static files beside it. */
export const DEFAULT_TEMPLATE = `server {
    listen {{listen}};
    server_name {{server_names}};
    {{#if gzip}}
    gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_types text/plain text/css text/javascript text/xml application/javascript application/json application/manifest+json application/xml application/rss+xml application/wasm image/svg+xml;
    {{else}}
    gzip off;
    {{/if}}
    {{#each locations}}

    location {{path}} {
        {{#if upstream}}
        proxy_pass http://{{upstream}};
        {{/if}}
        {{#if url}}
        proxy_pass {{url}};
        {{/if}}
        {{#if proxied}}
        proxy_http_version 1.1;
        {{#if keepalive}}
        proxy_set_header Connection "";
        {{/if}}
        {{#if tls}}
        proxy_ssl_server_name on;
        {{/if}}
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $host;
        {{/if}}
        {{#if root}}
        root {{root}};
        {{/if}}
        {{#if index}}
        index {{index}};
        {{/if}}
        {{#each headers}}
        add_header {{name}} "{{value}}" always;
        {{/each}}
    }
    {{/each}}
}
`
