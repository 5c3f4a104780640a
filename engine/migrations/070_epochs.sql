-- Of every claim, so that no epoch comes twice, not even on a thread whose id was used before.
create sequence frontdesk.epochs;
select setval('frontdesk.epochs', (select coalesce(max(epoch), 0) + 1 from frontdesk.threads), false);
