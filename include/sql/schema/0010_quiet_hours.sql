-- Quiet hours: when a person's own clock allows a marketing message, and until when it is worth sending.

alter table lifecycle.messages
-- Not before this instant, because the person sleeps.
add column send_after timestamptz,
-- Not at this instant or later; null in messages of before.
add column send_before timestamptz;

-- Deferred messages are looked for every quarter of an hour.
create index messages_deferred on lifecycle.messages (send_after)
where send_state = 'queued' and send_after is not null;

-- The zones this Postgres knows; its own list reads hundreds of files each time.
create table lifecycle.zones (zone text primary key);
insert into lifecycle.zones (zone)
select distinct names.name
from pg_timezone_names as names
where
    names.name = 'UTC'
    or (names.name like '%/%' and names.name not like 'posix/%');

-- The zone of a phone number by its first digits, from libphonenumber's data. Where one prefix covers several zones the
-- one in the middle stands for all.
create table lifecycle.phone_zones (
    prefix text primary key,
    zone text not null
);
insert into lifecycle.phone_zones (prefix, zone)
select
    prefixes.prefix,
    known.zone
from (
    values
    ('Africa/Abidjan', '225'),
    ('Africa/Accra', '233'),
    ('Africa/Addis_Ababa', '251'),
    ('Africa/Asmera', '291'),
    ('Africa/Bamako', '223'),
    ('Africa/Bangui', '236'),
    ('Africa/Banjul', '220'),
    ('Africa/Blantyre', '265'),
    ('Africa/Brazzaville', '242'),
    ('Africa/Bujumbura', '257'),
    ('Africa/Cairo', '20'),
    ('Africa/Conakry', '224'),
    ('Africa/Dakar', '221'),
    ('Africa/Dar_es_Salaam', '255'),
    ('Africa/Djibouti', '253'),
    ('Africa/Douala', '237'),
    ('Africa/Freetown', '232'),
    ('Africa/Gaborone', '267'),
    ('Africa/Harare', '263'),
    ('Africa/Johannesburg', '27'),
    ('Africa/Kampala', '256'),
    ('Africa/Khartoum', '249'),
    ('Africa/Kigali', '250'),
    ('Africa/Kinshasa', '2431 2433 2434 2435 2436'),
    ('Africa/Lagos', '234'),
    ('Africa/Libreville', '241'),
    ('Africa/Lome', '228'),
    ('Africa/Luanda', '244'),
    ('Africa/Lubumbashi', '243'),
    ('Africa/Lusaka', '260'),
    ('Africa/Malabo', '240'),
    ('Africa/Maputo', '258'),
    ('Africa/Maseru', '266'),
    ('Africa/Mbabane', '268'),
    ('Africa/Mogadishu', '252'),
    ('Africa/Nairobi', '211 254'),
    ('Africa/Ndjamena', '235'),
    ('Africa/Niamey', '227'),
    ('Africa/Nouakchott', '222'),
    ('Africa/Ouagadougou', '226'),
    ('Africa/Porto-Novo', '229'),
    ('Africa/Sao_Tome', '239'),
    ('Africa/Tunis', '216'),
    ('Africa/Windhoek', '264'),
    ('America/Anchorage', '1907'),
    ('America/Anguilla', '1264'),
    ('America/Antigua', '1268'),
    ('America/Aruba', '297'),
    ('America/Asuncion', '595'),
    ('America/Barbados', '1246'),
    ('America/Belize', '501'),
    ('America/Bogota', '57'),
    ('America/Boise', '1208 1775 1986'),
    ('America/Buenos_Aires', '54'),
    ('America/Cancun', '5298 5299'),
    ('America/Caracas', '58'),
    ('America/Cayenne', '594'),
    ('America/Cayman', '1345'),
    (
        'America/Chicago',
        '1205 1210 1214 1217 1218 1224 1225 1228 1235 1251 1254 1256 1262 1274 1281 1308 1309 1312 1314 1316
        1318 1319 1320 1325 1327 1331 1334 1337 1346 1353 1361 1402 1405 1409 1414 1417 1423 1430 1432 1447
        1464 1469 1479 1501 1504 1507 1512 1515 1531 1534 1539 1557 1563 1572 1573 1580 1601 1608 1612 1615
        1618 1620 1629 1630 1636 1641 1651 1659 1660 1662 1682 1689 1708 1712 1713 1715 1726 1730 1731 1737
        1763 1769 1773 1779 1785 1806 1815 1816 1817 1830 1832 1847 1870 1872 1901 1903 1913 1918 1920 1931
        1936 1938 1940 1945 1952 1956 1972 1975 1979 1985 505'
    ),
    ('America/Costa_Rica', '506'),
    ('America/Curacao', '5996 5999'),
    ('America/Denver', '1303 1307 1385 1406 1435 1505 1575 1719 1720 1748 1801 1915 1970 1983'),
    ('America/Dominica', '1767'),
    ('America/Edmonton', '1368 1403 1587 1780 1825'),
    ('America/El_Salvador', '503'),
    ('America/Fort_Nelson', '1867'),
    ('America/Godthab', '299'),
    ('America/Grand_Turk', '1649'),
    ('America/Grenada', '1473'),
    ('America/Guadeloupe', '590'),
    ('America/Guatemala', '502'),
    ('America/Guayaquil', '593'),
    ('America/Guyana', '592'),
    ('America/Halifax', '1428 1506 1782 1902'),
    ('America/Havana', '53'),
    ('America/Jamaica', '1658 1876'),
    ('America/Kralendijk', '599'),
    ('America/La_Paz', '591'),
    ('America/Lima', '51'),
    (
        'America/Los_Angeles',
        '1206 1209 1213 1253 1279 1310 1323 1341 1350 1360 1369 1408 1415 1424 1425 1442 1458 1503 1509 1510
        1530 1541 1559 1562 1564 1619 1626 1628 1650 1657 1661 1669 1702 1707 1714 1725 1738 1747 1760 1805
        1818 1820 1831 1840 1858 1909 1916 1925 1949 1951 1971'
    ),
    ('America/Lower_Princes', '1721'),
    ('America/Manaus', '5565 5566 5567 5569 559'),
    ('America/Martinique', '596'),
    ('America/Matamoros', '5286 5287 5289'),
    ('America/Mazatlan', '5231 5232 5238 5261 5262 5263 5264 5265 5266 5269'),
    ('America/Mexico_City', '52'),
    ('America/Miquelon', '508'),
    ('America/Montevideo', '598'),
    ('America/Montserrat', '1664'),
    ('America/Nassau', '1242'),
    (
        'America/New_York',
        '1201 1202 1203 1207 1212 1215 1216 1219 1220 1223 1227 1229 1231 1234 1239 1240 1248 1252 1260 1267
        1269 1270 1272 1276 1283 1301 1302 1304 1305 1313 1315 1317 1321 1324 1326 1329 1330 1332 1336 1339
        1347 1351 1352 1363 1364 1380 1386 1401 1404 1407 1410 1412 1413 1419 1434 1440 1443 1445 1448 1463
        1470 1472 1475 1478 1484 1502 1508 1513 1516 1517 1518 1540 1551 1561 1567 1570 1571 1574 1582 1585
        1586 1603 1606 1607 1609 1610 1614 1616 1617 1631 1640 1645 1646 1656 1667 1678 1680 1681 1686 1703
        1704 1706 1716 1717 1718 1724 1727 1728 1732 1734 1740 1743 1754 1757 1762 1765 1770 1771 1772 1774
        1781 1786 1802 1803 1804 1810 1812 1813 1814 1821 1826 1828 1835 1838 1839 1843 1845 1848 1850 1854
        1856 1857 1859 1860 1862 1863 1864 1865 1878 1904 1906 1908 1910 1912 1914 1917 1919 1929 1930 1934
        1937 1941 1943 1947 1948 1954 1959 1973 1978 1980 1984 1989'
    ),
    ('America/Noronha', '5581'),
    ('America/North_Dakota/Center', '1605 1701'),
    ('America/Panama', '507'),
    ('America/Paramaribo', '597'),
    ('America/Phoenix', '1480 1520 1602 1623 1928'),
    ('America/Port-au-Prince', '509'),
    ('America/Port_of_Spain', '1868'),
    ('America/Puerto_Rico', '1787 1939'),
    ('America/Regina', '1306 1639'),
    ('America/Rio_Branco', '5568'),
    ('America/Santiago', '56'),
    ('America/Santo_Domingo', '1809 1829 1849'),
    ('America/Sao_Paulo', '55 5590 5591 5592 5593 5594 5596 5598 5599'),
    ('America/St_Johns', '1709 1879'),
    ('America/St_Kitts', '1869'),
    ('America/St_Lucia', '1758'),
    ('America/St_Thomas', '1340'),
    ('America/St_Vincent', '1784'),
    ('America/Tegucigalpa', '504'),
    ('America/Tijuana', '5268'),
    ('America/Toronto', '1'),
    ('America/Tortola', '1284'),
    ('America/Vancouver', '1236 1250 1257 1604 1672 1778'),
    ('America/Winnipeg', '1204 1431 1474 1584'),
    ('Arctic/Longyearbyen', '4779'),
    ('Asia/Aden', '967'),
    ('Asia/Almaty', '771 772 779 7800 7808 7809 7810'),
    ('Asia/Amman', '962'),
    ('Asia/Anadyr', '7427'),
    ('Asia/Aqtobe', '77 7711 7712 7713 7729'),
    ('Asia/Ashgabat', '993'),
    ('Asia/Baghdad', '964'),
    ('Asia/Bahrain', '973'),
    ('Asia/Baku', '994'),
    ('Asia/Bangkok', '66'),
    ('Asia/Beirut', '961'),
    ('Asia/Bishkek', '996'),
    ('Asia/Brunei', '673'),
    ('Asia/Calcutta', '91'),
    ('Asia/Choibalsan', '976'),
    ('Asia/Colombo', '94'),
    ('Asia/Damascus', '963'),
    ('Asia/Dhaka', '880'),
    ('Asia/Dili', '670'),
    ('Asia/Dubai', '971'),
    ('Asia/Dushanbe', '992'),
    ('Asia/Ho_Chi_Minh', '84'),
    ('Asia/Hong_Kong', '852'),
    ('Asia/Irkutsk', '7301 7395'),
    ('Asia/Jakarta', '622 6231 6232 6233 6234 6235 6252 6253 6256 626 627 628'),
    ('Asia/Jayapura', '6240 6290 6291 6292 6295 6296 6297 6298'),
    ('Asia/Jerusalem', '972'),
    ('Asia/Kabul', '93'),
    ('Asia/Kamchatka', '7415'),
    ('Asia/Karachi', '92'),
    ('Asia/Katmandu', '977'),
    ('Asia/Krasnoyarsk', '7384 7385 7388 7390 7391 7394'),
    ('Asia/Kuching', '60'),
    ('Asia/Kuwait', '965'),
    ('Asia/Magadan', '7413'),
    ('Asia/Makassar', '62 6280 6281 6282 6283 6285 6286 6287 6288'),
    ('Asia/Manila', '63'),
    ('Asia/Muscat', '968'),
    ('Asia/Nicosia', '357'),
    ('Asia/Novosibirsk', '7'),
    ('Asia/Omsk', '7381'),
    ('Asia/Phnom_Penh', '855'),
    ('Asia/Qatar', '974'),
    ('Asia/Rangoon', '95'),
    ('Asia/Riyadh', '966'),
    ('Asia/Sakhalin', '7424'),
    ('Asia/Seoul', '82 850'),
    ('Asia/Shanghai', '853 86'),
    ('Asia/Singapore', '65'),
    ('Asia/Taipei', '886'),
    ('Asia/Tashkent', '998'),
    ('Asia/Tbilisi', '995'),
    ('Asia/Tehran', '98'),
    ('Asia/Thimphu', '975'),
    ('Asia/Tokyo', '81'),
    ('Asia/Ulaanbaatar', '9761 9762 9765 9766 9767 9768 9769'),
    ('Asia/Vientiane', '856'),
    ('Asia/Vladivostok', '7421 7423 7426'),
    ('Asia/Yakutsk', '7302 7411 7416'),
    ('Asia/Yekaterinburg', '733 734 735'),
    ('Asia/Yerevan', '374'),
    ('Atlantic/Bermuda', '1441'),
    ('Atlantic/Canary', '212 3482 3492'),
    ('Atlantic/Cape_Verde', '238'),
    ('Atlantic/Faeroe', '298'),
    ('Atlantic/Reykjavik', '231 245 354'),
    ('Atlantic/St_Helena', '247 290'),
    ('Atlantic/Stanley', '500'),
    ('Australia/Adelaide', '6185 6186 6187 6188 6189'),
    ('Australia/Brisbane', '61 6172 6173'),
    ('Australia/Lord_Howe', '6125 6126'),
    ('Australia/Sydney', '611 612 613 614 617'),
    ('Europe/Amsterdam', '31'),
    ('Europe/Andorra', '376'),
    ('Europe/Athens', '30'),
    ('Europe/Belgrade', '381 383'),
    ('Europe/Berlin', '49'),
    ('Europe/Bratislava', '421'),
    ('Europe/Brussels', '32'),
    ('Europe/Bucharest', '218 370 371 372 40 740 970'),
    ('Europe/Budapest', '36'),
    ('Europe/Chisinau', '373'),
    ('Europe/Copenhagen', '45'),
    ('Europe/Gibraltar', '350'),
    ('Europe/Guernsey', '4414'),
    ('Europe/Helsinki', '3581 3582 3583 3585 3586 3588 3589'),
    ('Europe/Isle_of_Man', '353 4416 443 445 4470 4471 4472 4473 4474 4475 4476 4477 4478 4479 448 449'),
    ('Europe/Istanbul', '90'),
    ('Europe/Jersey', '44 4415'),
    ('Europe/Kyiv', '380'),
    ('Europe/Lisbon', '351'),
    ('Europe/Ljubljana', '386'),
    ('Europe/London', '441 442'),
    ('Europe/Luxembourg', '352'),
    ('Europe/Madrid', '34'),
    ('Europe/Malta', '356'),
    ('Europe/Mariehamn', '358'),
    ('Europe/Monaco', '377'),
    (
        'Europe/Moscow',
        '375 736 747 748 749 7803 7804 781 782 783 7840 7841 7843 7844 7845 7847 7855 7856 7857 786 787 79'
    ),
    ('Europe/Oslo', '47'),
    ('Europe/Paris', '213 33'),
    ('Europe/Podgorica', '382'),
    ('Europe/Prague', '420'),
    ('Europe/Rome', '390 394 397'),
    ('Europe/Samara', '7341 7842 7846 7848 7851'),
    ('Europe/San_Marino', '378'),
    ('Europe/Sarajevo', '387'),
    ('Europe/Skopje', '389'),
    ('Europe/Sofia', '359'),
    ('Europe/Stockholm', '46'),
    ('Europe/Tirane', '355'),
    ('Europe/Vaduz', '423'),
    ('Europe/Vatican', '39 3906 3908'),
    ('Europe/Vienna', '43'),
    ('Europe/Warsaw', '48'),
    ('Europe/Zagreb', '385'),
    ('Europe/Zurich', '41'),
    ('Indian/Antananarivo', '261'),
    ('Indian/Chagos', '246'),
    ('Indian/Comoro', '269'),
    ('Indian/Mahe', '248'),
    ('Indian/Maldives', '960'),
    ('Indian/Mauritius', '230'),
    ('Indian/Mayotte', '2626'),
    ('Indian/Reunion', '262'),
    ('Pacific/Apia', '685'),
    ('Pacific/Auckland', '641 642 643 644 645 646 647 648 649'),
    ('Pacific/Chatham', '64 6433'),
    ('Pacific/Efate', '678'),
    ('Pacific/Enderbury', '686'),
    ('Pacific/Fakaofo', '690'),
    ('Pacific/Fiji', '679'),
    ('Pacific/Funafuti', '688'),
    ('Pacific/Guadalcanal', '677'),
    ('Pacific/Guam', '1671'),
    ('Pacific/Honolulu', '1808'),
    ('Pacific/Kosrae', '691'),
    ('Pacific/Majuro', '692'),
    ('Pacific/Marquesas', '689'),
    ('Pacific/Nauru', '674'),
    ('Pacific/Niue', '683'),
    ('Pacific/Norfolk', '672'),
    ('Pacific/Noumea', '687'),
    ('Pacific/Pago_Pago', '1684'),
    ('Pacific/Palau', '680'),
    ('Pacific/Port_Moresby', '675'),
    ('Pacific/Rarotonga', '682'),
    ('Pacific/Saipan', '1670'),
    ('Pacific/Tahiti', '6894'),
    ('Pacific/Tongatapu', '676'),
    ('Pacific/Truk', '6913'),
    ('Pacific/Wallis', '681')
) as known (zone, prefixes)
cross join lateral regexp_split_to_table(known.prefixes, '\s+') as prefixes (prefix)
inner join lifecycle.zones as zones on known.zone = zones.zone;

-- A person's zone: their own, else that of their phone number, else that of the store.
create function lifecycle.zone_of(own_zone text, phone text, store_zone text) returns text
language sql stable parallel safe
return coalesce(
    (
        select zones.zone
        from lifecycle.zones as zones
        where zones.zone = own_zone
    ),
    (
        select phone_zones.zone
        from lifecycle.phone_zones as phone_zones
        where
            phone like '+%'
            and phone_zones.prefix in (
                substr(phone, 2, 1), substr(phone, 2, 2), substr(phone, 2, 3), substr(phone, 2, 4)
            )
        order by length(phone_zones.prefix) desc
        limit 1
    ),
    store_zone
);

-- Whether a clock in a zone stands in the quiet hours; they may reach over midnight.
create function lifecycle.is_quiet(at_instant timestamptz, zone text, quiet_from time, quiet_until time)
returns boolean
language sql stable parallel safe
return case
    when quiet_from < quiet_until
        then
            (at_instant at time zone zone)::time >= quiet_from
            and (at_instant at time zone zone)::time < quiet_until
    else
        (at_instant at time zone zone)::time >= quiet_from
        or (at_instant at time zone zone)::time < quiet_until
end;

-- The first instant from the given one on at which a message may go to somebody in a zone. In the nights of a clock
-- change the end of the quiet hours may come twice, or not at all: then it is the first instant after it that is not
-- quiet by the clock on the wall.
create function lifecycle.next_allowed(at_instant timestamptz, zone text, quiet_from time, quiet_until time)
returns timestamptz
language sql stable parallel safe
return case
    when not coalesce(lifecycle.is_quiet(at_instant, zone, quiet_from, quiet_until), false) then at_instant
    else (
        select min(candidates.instant)
        from (
            select
                (
                    (at_instant at time zone zone)::date
                    + quiet_until
                    + case
                        when (at_instant at time zone zone)::time >= quiet_until then interval '1 day'
                        else interval '0'
                    end
                ) at time zone zone
                + make_interval(mins => 30 * shifts.half_hours) as instant
            from generate_series(-4, 8) as shifts (half_hours)
        ) as candidates
        where
            candidates.instant > at_instant
            and not lifecycle.is_quiet(candidates.instant, zone, quiet_from, quiet_until)
    )
end;

-- The claim counts them itself, the plan for a whole audience.
drop function lifecycle.recent_messages(text, text, date, integer, text);
