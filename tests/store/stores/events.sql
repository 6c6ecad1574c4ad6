BEGIN TRANSACTION;
CREATE TABLE erasures (
	who TEXT NOT NULL, 
	micros BIGINT NOT NULL, 
	seq BIGINT NOT NULL, 
	PRIMARY KEY (who)
)
 WITHOUT ROWID

;
INSERT INTO "erasures" VALUES('c0a497761b175379ed63397cc980546559faa84ca9cbeede773117c31508b6ac',1714564800123456,4);
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	item_id TEXT NOT NULL, 
	micros BIGINT NOT NULL, 
	event TEXT NOT NULL, 
	value FLOAT, 
	"query" TEXT, 
	session_id TEXT, 
	request_id TEXT, 
	received_micros BIGINT NOT NULL, 
	UNIQUE (event_id)
);
INSERT INTO "events" VALUES(1,'a','eve','i1',1714564800123456,'rating',4.5,'red shoes','s','r1',1795936483048521);
INSERT INTO "events" VALUES(2,'b','adam','i2',1714564860123456,'click',NULL,NULL,NULL,NULL,1795936483048521);
INSERT INTO "events" VALUES(3,'c','adam','i1',1714564920123456,'purchase',NULL,NULL,NULL,'r2',1795936483048521);
INSERT INTO "events" VALUES(5,'d','mallory','i3',1714651200123456,'click',NULL,NULL,NULL,NULL,1795936483081488);
CREATE TABLE items (
	item_id TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	title TEXT, 
	text TEXT, 
	categories JSON NOT NULL, 
	attributes TEXT, 
	published_at BIGINT, 
	expires_at BIGINT, 
	available BOOLEAN NOT NULL, 
	deleted BOOLEAN NOT NULL, 
	PRIMARY KEY (item_id)
);
INSERT INTO "items" VALUES('i3',1,'A film','A text','["drama", "war"]','{"year": 1999}',1714564800123456,1715342400123456,1,0);
INSERT INTO "items" VALUES('i4',3,'Another',NULL,'[]',NULL,NULL,NULL,0,1);
CREATE TABLE naming (
	only INTEGER NOT NULL, 
	naming TEXT NOT NULL, 
	PRIMARY KEY (only)
);
INSERT INTO "naming" VALUES(1,'plain');
CREATE TABLE served (
	seq INTEGER NOT NULL, 
	request_id TEXT NOT NULL, 
	user_id TEXT, 
	micros BIGINT NOT NULL, 
	model_version TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	items JSON NOT NULL, 
	scores JSON NOT NULL, 
	propensities JSON NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (request_id)
);
INSERT INTO "served" VALUES(1,'r1','eve',1714564800123456,'v1','champion','["i1", "i2"]','[2.0, 1.0]','[1.0, 1.0]');
INSERT INTO "served" VALUES(2,'r2',NULL,1714564800123456,'v1','champion','["i2"]','[1.5]','[0.25]');
CREATE INDEX events_of_user ON events (user_id, micros, seq);
CREATE INDEX served_to_user ON served (user_id, seq);
CREATE INDEX items_by_seq ON items (seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',5);
COMMIT;
