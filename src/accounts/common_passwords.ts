/**
 * Passwords, and words that passwords are built of, that guessers try first; lower case. A first
 * fence only: a list of breached passwords is the place for completeness.
 */
export const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
  `
  password passwords passwort passphrase motdepasse contrasena senha wachtwoord parola password1 password12 password123
  password1234 passw0rd p@ssw0rd p@ssword pa55word pass1234 passpass mypassword letmein letmein1 letmeinnow welcome welcome1
  welcome123 changeme changeme1 change-me secret secret123 topsecret supersecret default administrator adminadmin admin admin123
  admin1234 root rootroot toor superuser superman batman spiderman ironman wonderwoman starwars startrek pokemon pikachu
  naruto minecraft fortnite matrix gandalf dragon dragons monster shadow master mustang corvette ferrari porsche mercedes
  harley yamaha football football1 baseball basketball softball volleyball hockey soccer tennis golfer swimming champion
  champions arsenal chelsea liverpool liverpool1 manchester barcelona realmadrid juventus bayern ranger rangers lakers
  yankees cowboys eagles steelers iloveyou iloveyou1 iloveyou2 iloveu loveme lovely loveyou mylove sweetheart darling
  princess princess1 prince angel angels babygirl babyboy beautiful sunshine sunshine1 rainbow butterfly flower flowers
  chocolate cookie cookies cheese banana orange peanut pepper ginger cherry strawberry summer winter spring autumn
  december november october september january february monday friday sunday jennifer jessica michelle michael michael1
  daniel matthew anthony joshua andrew robert william charlie charles thomas jordan jordan23 ashley amanda nicole samantha
  elizabeth alexander alexandra benjamin christian christopher jonathan nicholas patrick richard stephanie vanessa victoria
  whatever nothing freedom forever trustno1 trustnoone computer computer1 internet internet1 keyboard samsung samsung1 nokia
  google facebook youtube twitter linkedin instagram microsoft windows windows10 linux ubuntu oracle database server
  testtest test1234 testing testing1 test123 demo demodemo example sample guest guest123 user user1234 userpass login login123
  qwerty qwerty1 qwerty12 qwerty123 qwertyui qwertyuiop qwerty1234 asdfghjk asdfghjkl asdf1234 asdfasdf zxcvbnm zxcvbnm1
  qazwsx qazwsxedc 1qaz2wsx 1q2w3e4r 1q2w3e4r5t 1q2w3e q1w2e3r4 q1w2e3r4t5 zaq12wsx zaq1zaq1 abcd1234 abc12345 abcdefgh
  abcdefg1 aaaaaaaa a1b2c3d4 1a2b3c4d 12345678 123456789 1234567890 87654321 987654321 11111111 111111111 00000000
  22222222 55555555 66666666 77777777 88888888 99999999 12341234 12344321 11223344 112233445566 10203040 12121212 21212121
  13131313 69696969 31415926 3141592653 147258369 123123123 123321123 123454321 789456123 159753 159357 01012000 20002000
  blink182 metallica nirvana slipknot beatles eminem rockstar rockyou ladygaga hello hellohello hello123 helloworld
  goodbye godisgood jesus jesus1 jesuschrist christ blessed heaven faith trinity genesis phoenix hunter hunter2 hunter12
  killer ninja pirate cowboy soldier sniper assassin warrior maverick falcon tiger tigers panther cheetah dolphin dolphins
  elephant kitten kitty kittycat puppy snoopy scooby scoobydoo garfield mickey mickeymouse minnie donald tweety barbie
  hellokitty doggie buster bailey maggie maddie jasmine jasmin sophie sophia isabella chelsea1 melissa danielle heather
  london london1 paris berlin newyork newyork1 boston chicago dallas houston austin denver phoenix1 florida california
  america canada mexico brazil brasil germany deutschland france italia espana england scotland ireland russia india
  fuckyou fuckyou1 fuckoff bullshit asshole biteme sexy sexysexy access access14 access123 money money123 business
  temporary temp1234 temppass password! passw0rd! p4ssw0rd mypass123 notapassword nopassword thisisapassword opensesame
  correcthorsebatterystaple messenger sotto sottosotto family friends friend bestfriend together forever1 lovelove
  `
    .trim()
    .split(/\s+/),
);
