-- What central of the first version (commit 22cee33, 2026-11-21) kept of one message and seven clicks; sqlite3's dump.
PRAGMA application_id = 1818977073;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE clicks (
    id TEXT PRIMARY KEY, link_id TEXT NOT NULL, tenant INTEGER NOT NULL, part TEXT NOT NULL,
    clicked_at INTEGER NOT NULL, ip TEXT, user_agent TEXT, kind TEXT NOT NULL
) STRICT;
INSERT INTO "clicks" VALUES('id-0','----0w',0,'html',1795257218123456,'203.0.113.0','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','click');
INSERT INTO "clicks" VALUES('id-1','-----w',0,'html',1795260818123456,'203.0.113.1','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','click');
INSERT INTO "clicks" VALUES('id-2','-----w',0,'html',1795264418123456,'203.0.113.2','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','click');
INSERT INTO "clicks" VALUES('id-3','----0w',0,'html',1795268018123456,'203.0.113.3','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','click');
INSERT INTO "clicks" VALUES('id-4','-----w',0,'html',1795271618123456,'203.0.113.4','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','click');
INSERT INTO "clicks" VALUES('id-5','-----w',0,'html',1795275218123456,'203.0.113.5','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','click');
INSERT INTO "clicks" VALUES('id-6','----0w',0,'html',1795278818123456,'203.0.113.6','Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','head');
CREATE TABLE links (
    link_id TEXT NOT NULL, tenant INTEGER NOT NULL, message_id TEXT NOT NULL, url TEXT NOT NULL,
    part TEXT NOT NULL, position INTEGER NOT NULL
) STRICT;
INSERT INTO "links" VALUES('-----w',0,'mail-1@example.com','https://example.com/0','html',0);
INSERT INTO "links" VALUES('----0w',0,'mail-1@example.com','https://example.com/1','html',1);
CREATE TABLE losses (
    id TEXT PRIMARY KEY, router TEXT NOT NULL, reason TEXT NOT NULL, clicks INTEGER NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT;
CREATE TABLE messages (
    message_id TEXT PRIMARY KEY, digest BLOB NOT NULL, tenant INTEGER NOT NULL, sent_at INTEGER NOT NULL,
    recipient TEXT, tag TEXT, metadata TEXT NOT NULL
) STRICT;
INSERT INTO "messages" VALUES('mail-1@example.com',X'9BF9577CFA7198854C63F1343602AC01EA04576D97C8DF53670C9E21AED15AA7',0,1795262400000000,'reader@example.net','november','{"issue": "47"}');
CREATE INDEX clicks_by_time ON clicks (clicked_at, id, kind, part, link_id, tenant);
CREATE INDEX clicks_by_link ON clicks (link_id, tenant);
CREATE INDEX messages_by_tag ON messages (tag) WHERE tag IS NOT NULL;
CREATE INDEX links_by_id ON links (link_id, tenant);
CREATE INDEX links_by_message ON links (message_id);
COMMIT;
